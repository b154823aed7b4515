"""The ports of the local servers: two, and free before they start."""

from corpusmill.storage.errors import StackError
from corpusmill.storage.settings import Settings
from corpusmill.tasks.stack import supervision


def ports(settings: Settings) -> dict[str, int]:
    """By the name of its server."""
    return {"prefect": settings.prefect_port, "mlflow": settings.mlflow_port}


def check_ports(settings: Settings) -> None:
    """Raises StackError if the ports are one, or one of them is taken."""
    if settings.prefect_port == settings.mlflow_port:
        raise StackError(
            f"PREFECT_PORT and MLFLOW_PORT are both {settings.mlflow_port}; expected two ports: "
            "change one of them."
        )
    for server in ports(settings):
        check_port(server, settings, "make up")


def check_port(server: str, settings: Settings, command: str) -> None:
    """Raises StackError, with another port for `command`, if that of the server is taken."""
    known = ports(settings)
    port = known[server]
    holder = supervision.listener(port)
    if holder is not None:
        near = [each for each in range(port + 1, 65536) if each not in known.values()]
        other = next((each for each in near if supervision.listener(each) is None), "…")
        raise StackError(
            f"Port {port} is taken by {holder}, expected it free: stop that program, or choose "
            f"another port with `{command} {server.upper()}_PORT={other}`."
        )
