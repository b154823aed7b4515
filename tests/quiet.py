"""The environment of tests. Imported before anything else: libraries read it as they are loaded."""

import os

os.environ |= {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    # Tests share the cores by processes: threads of each would only wait for each other.
    "OMP_NUM_THREADS": "1",
    "LOCAL_WORLD_SIZE": str(os.cpu_count()),
}
