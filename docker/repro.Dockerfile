# The whole workflow: docker build -f docker/repro.Dockerfile -t lung-attention .
FROM python:3.12-slim

RUN apt-get update \
    && apt-get install -y --no-install-recommends git make \
    && rm -rf /var/lib/apt/lists/*
ENV PIP_NO_CACHE_DIR=1 MLFLOW_DISABLE_TELEMETRY=true
RUN useradd --create-home runner
WORKDIR /app
COPY --chown=runner . .
RUN chown runner /app
USER runner
RUN make env
CMD ["make", "repro"]
