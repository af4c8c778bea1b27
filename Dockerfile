# The image of simulators, witnesses and the controller: docker build -t pairsim .
#
# BASE is any image of Debian or Ubuntu with Python 3.11 or later and its `venv`. The same sources, base and
# SOURCE_DATE_EPOCH give the same files. pip takes a mirror or a folder of wheels by build arguments (PIP_INDEX_URL,
# PIP_FIND_LINKS, PIP_NO_INDEX, PIP_CERT).
ARG BASE=docker.io/library/python:3.12-slim-bookworm

FROM ${BASE} AS build
ARG PIP_INDEX_URL
ARG PIP_FIND_LINKS
ARG PIP_NO_INDEX
ARG PIP_CERT
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore \
    PYTHONDONTWRITEBYTECODE=1 PYTHONHASHSEED=0
WORKDIR /src

# What changes seldom comes first. Everything is pinned by hash; only pysyncobj has no wheel and is built here.
COPY requirements requirements
RUN python3 -m venv /build \
 && /build/bin/pip install --require-hashes --only-binary :all: -r requirements/build.lock \
 && /build/bin/pip wheel --require-hashes --only-binary :all: --no-binary pysyncobj --no-build-isolation \
        --no-deps -w /wheels -r requirements/image.lock

ARG SOURCE_DATE_EPOCH=1767225600
COPY . .
RUN /build/bin/hatchling build -t wheel -d /wheels \
 && python3 -m venv --without-pip /opt/venv \
 && /build/bin/pip --python /opt/venv/bin/python install --no-index --no-deps --no-compile /wheels/*.whl \
 && rm -rf /opt/venv/lib/python3*/site-packages/numba/tests /opt/venv/lib/python3*/site-packages/numpy/*/tests \
 && /opt/venv/bin/python -m compileall -q -j 1 --invalidation-mode unchecked-hash /opt/venv/lib

# Compiled for the plain processor, which costs nothing measurable: the same image starts as fast on every machine.
ENV NUMBA_CACHE_DIR=/opt/kernels NUMBA_CPU_NAME=generic
ENV LOCATORS=pairsim.simulators.prebuilt.Prebuilt,UserProvidedCacheLocator,InTreeCacheLocator,UserWideCacheLocator
RUN cd / && /opt/venv/bin/python -c 'import pairsim.simulators.kernels' \
 && chmod -R a+rX,go-w /opt \
 && find /opt -exec touch --no-dereference --date="@${SOURCE_DATE_EPOCH}" {} + \
 # A user who may not write there must find every kernel.
 && NUMBA_DEBUG_CACHE=1 NUMBA_CACHE_LOCATOR_CLASSES=${LOCATORS} setpriv --reuid 65532 --regid 65532 --clear-groups \
        /opt/venv/bin/python -c 'import pairsim.simulators.kernels' > /tmp/log \
 && test "$(grep -c 'data loaded' /tmp/log)" = "$(find /opt/kernels -name '*.nbc' | wc -l)"

FROM ${BASE}
LABEL org.opencontainers.image.title=pairsim \
      org.opencontainers.image.description="Keeps simulated worlds running through failures" \
      org.opencontainers.image.licenses=Apache-2.0
COPY --from=build /opt /opt
# A simulator's own kernels, installed beside the image's, are kept in /tmp if that can be written.
ENV PATH=/opt/venv/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    NUMBA_CACHE_DIR=/opt/kernels NUMBA_CPU_NAME=generic XDG_CACHE_HOME=/tmp \
    NUMBA_CACHE_LOCATOR_CLASSES=pairsim.simulators.prebuilt.Prebuilt,UserProvidedCacheLocator,InTreeCacheLocator,UserWideCacheLocator
USER 65532:65532
WORKDIR /tmp
EXPOSE 8080 7946
ENTRYPOINT ["pairsim"]
