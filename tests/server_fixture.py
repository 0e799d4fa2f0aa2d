"""A real server in a process of its own, and what makes the real clients come to it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

SUBSCRIPTION = "00000000-0000-0000-0000-000000000001"
GROUP = "rg-lazulite"
WORKSPACE = "mlw-default"
WORKSPACE_ID = (
    f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}"
    f"/providers/Microsoft.MachineLearningServices/workspaces/{WORKSPACE}"
)
_LEFTOVERS = ("AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET", "AZURE_TENANT_ID", "AZURE_AUTHORITY_HOST")


@dataclass
class RunningServer:
    """A started server. `start` and `kill` may be called again and again on the same home."""

    home: Path
    settings: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None
    note: dict[str, str] = field(default_factory=dict)

    @property
    def https_url(self) -> str:
        return str(self.note["https_url"])

    @property
    def http_url(self) -> str:
        return str(self.note["http_url"])

    @property
    def bundle(self) -> str:
        return str(self.home / "tls" / "bundle.pem")

    def start(self, *, same_ports: bool = False) -> RunningServer:
        ports = (self.note["port"], self.note["http_port"]) if same_ports else ("0", "0")
        command = [sys.executable, "-m", "lazulite.server", "--home", str(self.home)]
        command += ["--port", str(ports[0]), "--http-port", str(ports[1])]
        (self.home / "server.json").unlink(missing_ok=True)
        if not same_ports:
            (self.home / "ports.json").unlink(missing_ok=True)
        log = (self.home.parent / f"{self.home.name}.log").open("ab")
        environment = {**os.environ, **{f"LAZULITE_{k.upper()}": v for k, v in self.settings.items()}}
        self.process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
        log.close()
        deadline = time.monotonic() + 60
        while not (self.home / "server.json").exists():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError((self.home.parent / f"{self.home.name}.log").read_text()[-3000:])
            time.sleep(0.02)
        self.note = json.loads((self.home / "server.json").read_text())
        return self

    def kill(self) -> None:
        """End the server as a power cut would."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(timeout=30)

    def environment(self) -> dict[str, str]:
        """The variables that point the real clients at this server."""
        return {
            "ARM_CLOUD_METADATA_URL": f"{self.http_url}/metadata/endpoints",
            "AZUREML_CURRENT_CLOUD": "LazuliteCloud",
            "IDENTITY_ENDPOINT": f"{self.http_url}/msi/token",
            "IDENTITY_HEADER": (self.home / "secrets" / "user.key").read_text(),
            "REQUESTS_CA_BUNDLE": self.bundle,
            "SSL_CERT_FILE": self.bundle,
            "REGISTRY_DISCOVERY_ENDPOINT_URL": f"{self.https_url}/",
            "AZUREML_RUN_POLLING_INTERVAL_MIN": "1",
            "AZUREML_RUN_POLLING_INTERVAL_MAX": "1",
            "MLFLOW_TRACKING_URI": f"{self.https_url}/mlflow/rest{WORKSPACE_ID}",
            "MLFLOW_TRACKING_TOKEN": self.token("https://ml.azure.com"),
        }

    def activate(self) -> None:
        """Point this process's clients here."""
        for name in _LEFTOVERS:
            os.environ.pop(name, None)
        os.environ.update(self.environment())
        fluent = sys.modules.get("mlflow.tracking.fluent")
        if fluent is not None:  # the experiment that was set belongs to the server of another module
            os.environ.pop("MLFLOW_EXPERIMENT_ID", None)
            fluent._active_experiment_id = None  # type: ignore[attr-defined]

    def token(self, audience: str = "https://management.azure.com") -> str:
        request = urllib.request.Request(
            f"{self.http_url}/msi/token?resource={audience}",
            headers={"X-IDENTITY-HEADER": (self.home / "secrets" / "user.key").read_text()},
        )
        with urllib.request.urlopen(request) as answer:
            return str(json.load(answer)["access_token"])
