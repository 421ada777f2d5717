# The whole workflow: docker build -f docker/repro.Dockerfile -t lung-attention .
FROM python:3.12-slim

# The image's Debian changes its versions; what computes is pinned in requirements.lock.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends git make \
    && rm -rf /var/lib/apt/lists/*
ENV PIP_NO_CACHE_DIR=1 MLFLOW_DISABLE_TELEMETRY=true
RUN useradd --uid 1000 --create-home runner
WORKDIR /app
COPY --chown=1000 . .
RUN chown 1000 /app
USER 1000
RUN make env
CMD ["make", "repro"]
