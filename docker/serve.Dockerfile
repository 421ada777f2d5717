# Serves one exported model: docker build -f docker/serve.Dockerfile --build-arg MODEL=model.onnx .
FROM python:3.12-slim

ENV PYTHONDONTWRITEBYTECODE=1 PIP_NO_CACHE_DIR=1 MLFLOW_DISABLE_TELEMETRY=true
WORKDIR /app
COPY pyproject.toml requirements.lock README.md LICENSE ./
COPY src src
RUN pip install --require-hashes -r requirements.lock && pip install --no-deps .
ARG MODEL
COPY ${MODEL} model.onnx
RUN useradd --uid 1000 --create-home served && chown 1000 /app
USER 1000
ENV MLFLOW_TRACKING_URI=sqlite:////app/mlflow.db
RUN python -c "from pathlib import Path; \
from lung_attention.tracking.serving import register_exported; \
register_exported(Path('model.onnx'), 'served', root=Path('.'))"
EXPOSE 5001
CMD ["mlflow", "models", "serve", "-m", "models:/served@champion", "--env-manager", "local", \
     "--host", "0.0.0.0", "--port", "5001"]
