/* Points that fly straight on and bounce off the walls of their area: an engine of pairsim in C.
 *
 * The node talks with this program over descriptor 3 and shares two tables with it in descriptor 4; docs/engines.md
 * has the protocol. reference.py is the same simulator in numpy: both compute the same bits. Build it without fused
 * multiply-add, which some processors have and others have not:
 *
 *     cc -O2 -ffp-contract=off -o bouncing bouncing.c -lm
 */
#define _GNU_SOURCE
#include <math.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the numbers of the protocol are in little endian"
#endif

enum { SOCKET = 3, SHARED = 4, MOST_BYTES = 8 << 20 };
enum { HELLO = 1, MEMORY, POPULATE, STEP, PERCEIVE, READY = 16, DONE, PERCEIVED, RAISED };
enum { SPAWN, DESPAWN, SET, OPERATIONS };
enum { POSITION, VELOCITY, COLUMNS };

static const char ready[] =
    "{\"protocol\":1,\"engine\":\"bouncing 1.0\",\"components\":["
    "{\"name\":\"position\",\"dtype\":\"float32\",\"width\":3},"
    "{\"name\":\"velocity\",\"dtype\":\"float32\",\"width\":3}]}";
static const char refusal[] = "{\"sentence\":\"bouncing takes one parameter, speed, from 0 to 1000\"}";

static struct { uint64_t capacity, table_bytes, ids, columns[COLUMNS]; } layout; /* the body of MEMORY */
static struct { uint32_t table, flags; uint64_t tick, rows; } turn;              /* how POPULATE and STEP begin */
static struct { uint64_t tick, rows; uint32_t ids_changed, rejected; double seconds; } done; /* how DONE begins */

static uint8_t *memory, body[MOST_BYTES + 1], *at; /* the body of a request, and the place that is read next */
static struct { uint32_t length, kind; uint8_t body[MOST_BYTES]; } answer;
static uint8_t *end = answer.body; /* the place that is written next */
static double low[3], high[3], tick_rate, speed;
static unsigned long long entities;

/* --- messages */

static int receive(void *to, size_t length) { /* returns 0 when the node has closed the connection */
    for (uint8_t *place = to, *last = place + length; place < last;) {
        ssize_t got = read(SOCKET, place, (size_t)(last - place));
        if (got <= 0) return 0;
        place += got;
    }
    return 1;
}

static void add(const void *bytes, size_t length) { /* a tick has at most 25,000 commands: their reasons fit */
    memcpy(end, bytes, length);
    end += length;
}

static void send_answer(uint32_t kind) {
    answer.length = (uint32_t)(end - answer.body), answer.kind = kind;
    for (uint8_t *place = (uint8_t *)&answer; place < end;) {
        ssize_t sent = write(SOCKET, place, (size_t)(end - place));
        if (sent <= 0) exit(1);
        place += sent;
    }
    end = answer.body;
}

/* --- the area, in JSON: read as the node writes it; an engine of your own should use a library */

static const char *after(const char *key) {
    const char *found = strstr((char *)body, key);
    return found ? found + strlen(key) : "";
}

static void hello(void) {
    const char *parameters = after("\"parameters\":{");
    char next = 0;
    speed = 4;
    if (*parameters != '}' && (sscanf(parameters, "\"speed\":%lf%c", &speed, &next) != 2 || next != '}')) speed = -1;
    int read = sscanf(after("\"tick_rate\":"), "%lf", &tick_rate) + sscanf(after("\"entities\":"), "%llu", &entities) +
               sscanf(after("\"bounds\":"), "{\"min\":[%lf,%lf,%lf],\"max\":[%lf,%lf,%lf]}", &low[0], &low[1], &low[2],
                      &high[0], &high[1], &high[2]);
    int usable = read == 8 && speed >= 0 && speed <= 1000;
    if (usable) add(ready, sizeof ready - 1);
    else add(refusal, sizeof refusal - 1);
    send_answer(usable ? READY : RAISED);
}

/* --- the tables */

static int64_t *ids(void) { return (int64_t *)(memory + turn.table * layout.table_bytes + layout.ids); }
static float *column(int c) { return (float *)(memory + turn.table * layout.table_bytes + layout.columns[c]); }
static float wall(int axis) { return nextafterf((float)high[axis], (float)low[axis]); } /* the edge is outside */

static uint64_t find(int64_t entity) { /* returns the number of rows if there is none; a larger world needs an index */
    uint64_t row = 0;
    while (row < done.rows && ids()[row] != entity) row++;
    return row;
}

static void populate(void) {
    static const double steps[3] = {0.8191725133961645, 0.6710436067037893, 0.5497004779019703}; /* spread evenly */
    for (uint64_t row = 0; row < entities; row++) {
        float *position = column(POSITION) + 3 * row, *velocity = column(VELOCITY) + 3 * row;
        ids()[row] = (int64_t)row + 1;
        for (int axis = 0; axis < 3; axis++) {
            double place = (double)(row + 1) * steps[axis], part = place - floor(place);
            position[axis] = (float)(low[axis] + part * (high[axis] - low[axis]));
            if (position[axis] > wall(axis)) position[axis] = wall(axis);
            velocity[(axis + 1) % 3] = (float)((2 * part - 1) * speed);
        }
    }
    done.rows = entities, done.ids_changed = 1;
}

static void step(void) {
    float seconds = (float)(1 / tick_rate);
    for (int axis = 0; axis < 3; axis++) {
        float first = (float)low[axis], last = wall(axis);
        for (uint64_t row = 0; row < done.rows; row++) {
            float *position = column(POSITION) + 3 * row + axis, *velocity = column(VELOCITY) + 3 * row + axis;
            *position += *velocity * seconds;
            if (*position < first) *position = first, *velocity = fabsf(*velocity);
            if (*position > last) *position = last, *velocity = -fabsf(*velocity);
        }
    }
}

/* --- commands, in MessagePack: an array of maps with id, op, entity and components */

static uint64_t big_endian(int bytes) {
    uint64_t value = 0;
    while (bytes--) value = value << 8 | *at++;
    return value;
}

static int64_t whole(void) { /* a whole number, or the length of a text, an array or a map */
    uint8_t tag = *at++;
    if (tag < 0x80 || tag >= 0xe0) return (int8_t)tag;
    if (tag < 0xa0) return tag & 15;
    if (tag < 0xc0) return tag & 31;
    if (tag >= 0xcc && tag <= 0xcf) return (int64_t)big_endian(1 << (tag - 0xcc));
    return (int64_t)big_endian(tag == 0xd9 ? 1 : tag == 0xda || tag == 0xdc || tag == 0xde ? 2 : 4);
}

static double number(void) {
    if (*at != 0xcb) return (double)whole();
    at++;
    uint64_t bits = big_endian(8);
    double value;
    memcpy(&value, &bits, 8);
    return value;
}

static int word(const char *const *known, int count) { /* returns the place of a text among known ones, or `count` */
    size_t length = (size_t)whole();
    int found = 0;
    while (found < count && (strlen(known[found]) != length || memcmp(known[found], at, length))) found++;
    at += length;
    return found;
}

static void reject(uint32_t place, const char *form, int64_t entity) {
    char reason[100];
    uint32_t length = (uint32_t)snprintf(reason, sizeof reason, form, (long long)entity);
    add(&place, 4), add(&length, 4), add(reason, length);
    done.rejected++;
}

static void run_command(uint32_t place) {
    static const char *const fields[] = {"id", "op", "entity", "components"};
    static const char *const ops[] = {"spawn", "despawn", "set"}, *const names[] = {"position", "velocity"};
    float values[COLUMNS][3] = {{0}};
    int given[COLUMNS] = {0}, op = OPERATIONS;
    int64_t entity = 0;
    for (int64_t left = whole(); left--;) {
        switch (word(fields, 4)) {
        case 0: word(NULL, 0); break;
        case 1: op = word(ops, OPERATIONS); break;
        case 2: entity = whole(); break;
        default:
            for (int64_t more = whole(); more--;) { /* the node has checked names and widths before it logged them */
                int c = word(names, COLUMNS);
                given[c] = whole() == 3;
                for (int axis = 0; axis < 3; axis++) values[c][axis] = (float)number();
            }
        }
    }
    uint64_t row = find(entity), last = done.rows - 1;
    const char *reason = op == OPERATIONS ? "the operation is unknown"
                         : op != SPAWN    ? row == done.rows ? "entity %lld does not exist" : NULL
                         : row < done.rows ? "entity %lld exists already"
                         : row == layout.capacity ? "the area is full" : NULL;
    if (reason) { reject(place, reason, entity); return; }
    if (op == SPAWN) ids()[row] = entity, done.rows++;
    if (op == DESPAWN) ids()[row] = ids()[last], done.rows--; /* the last row moves into the place of the removed one */
    for (int c = 0; c < COLUMNS; c++) {
        if (op == DESPAWN) memmove(column(c) + 3 * row, column(c) + 3 * last, sizeof values[c]);
        else if (op == SPAWN || given[c]) memcpy(column(c) + 3 * row, values[c], sizeof values[c]);
    }
    done.ids_changed |= op != SET;
}

int main(void) {
    struct { uint32_t length, kind; } header;
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* this program ends with its node, even if it should loop forever */
    while (receive(&header, sizeof header) && header.length <= MOST_BYTES && receive(body, header.length)) {
        body[header.length] = 0;
        if (header.kind == HELLO) { hello(); continue; }
        if (header.kind == PERCEIVE) { add("\x90", 1), send_answer(PERCEIVED); continue; } /* an array of no commands */
        memset(&done, 0, sizeof done), end = answer.body + sizeof done; /* the reasons of rejections follow */
        if (header.kind == MEMORY) {
            struct stat file;
            memcpy(&layout, body, sizeof layout);
            if (fstat(SHARED, &file) || entities > layout.capacity) return 1;
            memory = mmap(NULL, (size_t)file.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, SHARED, 0);
            if (memory == MAP_FAILED) return 1;
            madvise(memory, (size_t)file.st_size, MADV_DONTDUMP); /* a core file of it would be very long */
        } else if (header.kind == POPULATE) {
            memcpy(&turn.table, body, sizeof turn.table);
            populate();
        } else {
            memcpy(&turn, body, sizeof turn), at = body + sizeof turn;
            done.tick = turn.tick, done.rows = turn.rows;
            uint32_t commands = (uint32_t)whole();
            for (uint32_t place = 0; place < commands; place++) run_command(place);
            step();
        }
        memcpy(answer.body, &done, sizeof done);
        send_answer(DONE);
    }
    return 0;
}
