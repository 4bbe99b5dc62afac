# The engine's image. NATS, PostgreSQL and Redis are services of their own, named by TICTAC_NATS_URLS, TICTAC_POSTGRES_URL ...
FROM python:3.13-slim AS build
WORKDIR /build
COPY requirements.lock pyproject.toml LICENSE ./
# Pinned versions, without what only tests and embedded servers need: --constraint takes no more than the project asks for.
COPY core core
COPY adapters adapters
COPY feeds feeds
COPY config config
COPY bench bench
RUN python -m venv /opt/tictac && /opt/tictac/bin/pip install --no-cache-dir --constraint requirements.lock .

FROM python:3.13-slim
RUN useradd --system --uid 10001 --home-dir /nonexistent --shell /usr/sbin/nologin tictac
COPY --from=build /opt/tictac /opt/tictac
ENV PATH=/opt/tictac/bin:$PATH PYTHONUNBUFFERED=1 TICTAC_LOG_FORMAT=json TICTAC_HTTP_HOST=0.0.0.0 TICTAC_HTTP_PORT=8080
USER 10001
EXPOSE 8080
# urlopen raises, and so exits with 1, for any answer but 2xx.
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen(f'http://127.0.0.1:{os.environ[\"TICTAC_HTTP_PORT\"]}/health', timeout=2)"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["tictac"]
CMD ["engine"]
