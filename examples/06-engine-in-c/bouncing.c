/* Points that move in a straight line and bounce off the walls of their area: an engine of pairsim in C.
 *
 * The node talks to this program over descriptor 3 and shares its tables in descriptor 4; docs/engines.md has the
 * protocol. Build it with `cc -O2 -ffp-contract=off -o bouncing bouncing.c`: without fused multiply-add, since every
 * machine must compute the same bits. */
#define _GNU_SOURCE
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { HELLO = 1, MEMORY, POPULATE, STEP, PERCEIVE, READY = 16, DONE, PERCEIVED, RAISED };
enum { SPAWN, DESPAWN, SET, UNKNOWN, POSITION = 0, VELOCITY, NONE };

struct column { uint64_t offset; } ids, columns[2]; /* places of the columns in a table */
static uint8_t *memory, body[8 << 20], *at, answer[8 << 20];
static uint64_t capacity, table_bytes;
static double low[3], high[3], tick_rate = 20, entities;

static void send_message(uint32_t kind, const void *content, uint32_t length) {
    uint32_t header[2] = {length, kind};
    if (write(3, header, 8) != 8) exit(1);
    for (const uint8_t *p = content, *end = p + length; p < end;) {
        ssize_t sent = write(3, p, end - p);
        if (sent <= 0) exit(1);
        p += sent;
    }
}

static int receive(void *to, size_t length) { /* returns 0 when the node has closed the connection */
    for (uint8_t *p = to, *end = p + length; p < end;) {
        ssize_t got = read(3, p, end - p);
        if (got <= 0) return 0;
        p += got;
    }
    return 1;
}

/* --- commands are MessagePack: an array of maps with id, op, entity and components */

static uint64_t big(int bytes) {
    uint64_t value = 0;
    while (bytes--) value = value << 8 | *at++;
    return value;
}

static double number(void) { /* also the length of a text, an array or a map; of a text, `at` is its begin then */
    uint8_t tag = *at++;
    if (tag < 0x80) return tag;
    if (tag < 0xa0) return tag & 15;
    if (tag < 0xc0) return tag & 31;
    if (tag >= 0xe0) return (int8_t)tag;
    if (tag == 0xcb) { uint64_t bits = big(8); double value; memcpy(&value, &bits, 8); return value; }
    if (tag >= 0xcc && tag <= 0xcf) return (double)big(1 << (tag - 0xcc));
    if (tag == 0xd9) return (double)big(1);
    if (tag == 0xda || tag == 0xdc || tag == 0xde) return (double)big(2);
    if (tag >= 0xd0 && tag <= 0xd3) { int n = 1 << (tag - 0xd0); return (double)((int64_t)(big(n) << (64 - 8 * n)) >> (64 - 8 * n)); }
    return (double)big(4);
}

static int64_t entity_id(void) { return *at == 0xcf ? (at++, (int64_t)big(8)) : *at == 0xd3 ? (at++, (int64_t)big(8)) : (int64_t)number(); }

static int word(const char *const *known, int count) { /* returns the place of a text among known ones, or `count` */
    size_t length = (size_t)number();
    int found = 0;
    while (found < count && (strlen(known[found]) != length || memcmp(known[found], at, length))) found++;
    at += length;
    return found;
}

/* --- the table */

static int64_t *id_column(int table) { return (int64_t *)(memory + table * table_bytes + ids.offset); }
static float *column(int table, int c) { return (float *)(memory + table * table_bytes + columns[c].offset); }

static uint64_t find(int table, uint64_t rows, int64_t id) { /* a larger world would keep an index */
    uint64_t row = 0;
    while (row < rows && id_column(table)[row] != id) row++;
    return row;
}

static uint32_t rejections, ids_changed;
static uint8_t *reject(uint8_t *to, uint32_t place, const char *form, int64_t id) {
    uint32_t length = (uint32_t)sprintf((char *)to + 8, form, (long long)id);
    memcpy(to, &place, 4), memcpy(to + 4, &length, 4);
    rejections++;
    return to + 8 + length;
}

static uint8_t *run_command(int table, uint64_t *rows, uint32_t place, uint8_t *to) {
    static const char *const fields[] = {"id", "op", "entity", "components"}, *const ops[] = {"spawn", "despawn", "set"},
                             *const names[] = {"position", "velocity"};
    float value[2][3] = {{0}};
    int given[3] = {0}, op = UNKNOWN;
    int64_t id = 0;
    for (int left = (int)number(); left--;) {
        switch (word(fields, 4)) {
        case 0: { size_t length = (size_t)number(); at += length; break; }
        case 1: op = word(ops, 3); break;
        case 2: id = entity_id(); break;
        default:
            for (int more = (int)number(); more--;) {
                int c = word(names, 2);
                given[c] = 1;
                int width = *at >= 0xc0 && *at != 0xdc ? 1 : (int)number();
                for (int axis = 0; axis < width; axis++) { double x = number(); if (c < NONE && axis < 3) value[c][axis] = (float)x; }
            }
        }
    }
    uint64_t row = find(table, *rows, id), last = *rows - 1;
    int64_t *id_of = id_column(table);
    if (op == SPAWN ? row < *rows || *rows == capacity : row == *rows)
        return reject(to, place, op == SPAWN ? "entity %lld exists already" : "entity %lld does not exist", id);
    ids_changed |= op != SET;
    if (op == SPAWN) id_of[(*rows)++] = id;
    if (op == DESPAWN) id_of[row] = id_of[last], *rows = last; /* the last row moves into the place of the removed one */
    for (int c = 0; c < NONE; c++) {
        float *to_row = column(table, c) + 3 * row;
        if (op == DESPAWN) memmove(to_row, column(table, c) + 3 * last, 12);
        else if (op == SPAWN || given[c]) memcpy(to_row, value[c], 12);
    }
    return to;
}

static void populate(int table) {
    for (uint64_t row = 0; row < (uint64_t)entities; row++) {
        id_column(table)[row] = (int64_t)row + 1;
        for (int axis = 0; axis < 3; axis++) {
            double part = (double)(row + 1) * (0.5 + 0.125 * axis) / 7;
            part -= floor(part);
            column(table, POSITION)[3 * row + axis] = (float)(low[axis] + part * (high[axis] - low[axis]));
            column(table, VELOCITY)[3 * row + axis] = (float)(8 * part - 4);
        }
    }
}

static void step(int table, uint64_t rows) {
    float seconds = (float)(1 / tick_rate), *position = column(table, POSITION), *velocity = column(table, VELOCITY);
    for (uint64_t i = 0; i < 3 * rows; i++) {
        position[i] = position[i] + velocity[i] * seconds;
        if (position[i] < (float)low[i % 3]) position[i] = (float)low[i % 3], velocity[i] = fabsf(velocity[i]);
        if (position[i] > (float)high[i % 3]) position[i] = (float)high[i % 3], velocity[i] = -fabsf(velocity[i]);
    }
}

static double field(const char *name, int number_of) { /* returns a number of the JSON of the area */
    const char *p = strstr((char *)body, name);
    for (p += p ? strlen(name) : 0; p && number_of--;) p = strchr(p, ',') + 1;
    return p ? strtod(p, NULL) : 0;
}

int main(void) {
    uint32_t header[2];
    while (receive(header, 8) && header[0] < sizeof body && receive(body, header[0])) {
        body[header[0]] = 0;
        if (header[1] == HELLO) {
            static const char ready[] = "{\"protocol\":1,\"engine\":\"bouncing 1.0\",\"components\":[{\"name\":\"position\",\"dtype\":"
                "\"float32\",\"width\":3},{\"name\":\"velocity\",\"dtype\":\"float32\",\"width\":3}],\"operations\":[],\"files\":[]}";
            char *bounds = strstr((char *)body, "\"bounds\":");
            tick_rate = field("\"tick_rate\":", 0), entities = field("\"entities\":", 0);
            memmove(body, bounds, strlen(bounds) + 1);
            for (int axis = 0; axis < 3; axis++) low[axis] = field("\"min\":[", axis), high[axis] = field("\"max\":[", axis);
            send_message(READY, ready, sizeof ready - 1);
            continue;
        }
        uint64_t done[4] = {0}, *layout = (uint64_t *)body; /* tick, rows, flags and rejections, seconds */
        uint8_t *end = answer + 32;
        rejections = ids_changed = 0;
        if (header[1] == MEMORY) {
            struct stat file;
            capacity = layout[0], table_bytes = layout[1], ids.offset = layout[2];
            columns[0].offset = layout[3], columns[1].offset = layout[4];
            fstat(4, &file);
            memory = mmap(NULL, (size_t)file.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, 4, 0);
            if (memory == MAP_FAILED) return 1;
        } else if (header[1] == POPULATE) {
            populate(*(int32_t *)body);
            done[1] = (uint64_t)entities, ids_changed = 1;
        } else if (header[1] == STEP) {
            int table = *(int32_t *)body;
            memcpy(done, body + 8, 16); /* tick and rows */
            at = body + 24;
            uint32_t count = (uint32_t)number();
            for (uint32_t place = 0; place < count; place++) end = run_command(table, &done[1], place, end);
            step(table, done[1]);
        } else {
            send_message(PERCEIVED, "\x90", 1); /* an empty array */
            continue;
        }
        done[2] = ids_changed | (uint64_t)rejections << 32;
        memcpy(answer, done, 32);
        send_message(DONE, answer, (uint32_t)(end - answer));
    }
    return 0;
}
