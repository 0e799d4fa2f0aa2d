"""Train a real model on this machine with the unmodified Azure ML SDK.

Everything below `import azure.ai.ml` is what one would write for Azure; the two lines that mention Lazulite start it
and set environment variables. A second run takes seconds, because the environment is built and the home is kept.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import logging
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from display import Display

import lazulite

if TYPE_CHECKING:
    from azure.ai.ml import MLClient
    from azure.ai.ml.entities import Job

HERE = Path(__file__).resolve().parent
ENVIRONMENT = "AzureML-sklearn-1.5@latest"
CLUSTER = "cpu-cluster"
MODEL = "breast-cancer"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path, default=HERE.parents[1] / ".quickstart", help="the platform's folder")
    parser.add_argument("--keep", action="store_true", help="leave the platform running afterwards")
    arguments = parser.parse_args()
    show = Display()
    show.title("Lazulite quickstart: the unmodified Azure ML SDK, a real environment, a real model, this machine")
    platform = lazulite.activate(arguments.home)
    show.step("Platform", f"{platform.https_url}  ({'started' if platform.started else 'was running'})")
    code = 1
    try:
        tour(show, platform)
        code = 0
    except KeyboardInterrupt:
        show.say("\nInterrupted.")
    except Exception as error:
        show.say(f"\nThe quickstart failed: {error}\nThe platform's log is {arguments.home / 'server.log'}")
    finally:
        if platform.started and not arguments.keep:
            lazulite_command("down", "--home", str(arguments.home))
    if code == 0:
        what_next(show, arguments.home, running=arguments.keep or not platform.started)
    return code


def tour(show: Display, platform: lazulite.Activation) -> None:
    client = connect(show, platform)
    workspace(show, client)
    cluster(show, client)
    data = table(show, client)
    trained = train(show, client, data)
    model = results(show, client, trained)
    use(show, client, data, model)


def connect(show: Display, platform: lazulite.Activation) -> MLClient:
    warnings.filterwarnings("ignore")
    logging.getLogger("azure").setLevel(logging.ERROR)
    with quiet():
        from azure.ai.ml import MLClient
        from azure.ai.ml._version import VERSION
        from azure.identity import DefaultAzureCredential

    show.step("SDK", f"azure-ai-ml {VERSION}, as Microsoft ships it, imported")
    return MLClient(
        DefaultAzureCredential(), platform.subscription_id, platform.resource_group, platform.workspace_name
    )


def workspace(show: Display, client: MLClient) -> None:
    found = client.workspaces.get()
    stores = [store.name for store in client.datastores.list()]
    show.step("Workspace", f"{found.name} in resource group {found.resource_group}")
    for what, value in (
        ("storage", found.storage_account),
        ("key vault", found.key_vault),
        ("telemetry", found.application_insights),
    ):
        show.detail(f"{what:<11}{str(value).rsplit('/', 1)[-1]}")
    show.detail(f"datastores {', '.join(sorted(stores))}")


def cluster(show: Display, client: MLClient) -> None:
    from azure.ai.ml.entities import AmlCompute

    asked = AmlCompute(
        name=CLUSTER, size="STANDARD_DS3_v2", min_instances=0, max_instances=2, idle_time_before_scale_down=60
    )
    made = client.compute.begin_create_or_update(asked).result()
    nodes = len(list(client.compute.list_nodes(CLUSTER)))
    show.step("Cluster", f"{made.name}: {made.size}, 0 to {made.max_instances} nodes, now {nodes}")


def table(show: Display, client: MLClient) -> str:
    """Register scikit-learn's breast-cancer table as a data asset; returns its id."""
    from azure.ai.ml.entities import Data
    from sklearn.datasets import load_breast_cancer

    bunch = load_breast_cancer(as_frame=True)
    frame = bunch.data.assign(malignant=1 - bunch.target)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "breast-cancer.csv"
        frame.to_csv(path, index=False)
        asset = Data(name="breast-cancer", path=str(path), type="uri_file", description="569 tumours, 30 measurements")
        with quiet():
            made = client.data.create_or_update(asset)
    show.step("Data", f"breast-cancer.csv, {len(frame)} rows, uploaded as data asset {made.name}:{made.version}")
    return f"azureml:{made.name}:{made.version}"


def train(show: Display, client: MLClient, data: str) -> Job:
    from azure.ai.ml import Input, Output, command

    job = command(
        display_name="train breast-cancer",
        experiment_name="quickstart",
        code=str(HERE / "src"),
        command="python train.py --data ${{inputs.data}} --regularization ${{inputs.regularization}} "
        "--model ${{outputs.model}}",
        inputs={"data": Input(type="uri_file", path=data), "regularization": 1.0},
        outputs={"model": Output(type="mlflow_model", name=MODEL)},
        environment=ENVIRONMENT,
        compute=CLUSTER,
    )
    with quiet():
        submitted = client.jobs.create_or_update(job)
    show.step("Job", f"{submitted.name} submitted, environment {ENVIRONMENT}")
    show.detail("its log, live (the first run builds the environment: a minute or two)")
    with show.quoted():
        client.jobs.stream(submitted.name)
    finished = client.jobs.get(submitted.name)
    nodes = [f"{node.node_id} ({node.node_state})" for node in client.compute.list_nodes(CLUSTER)]
    status = getattr(finished.status, "value", finished.status)
    show.step("Ran", f"{status} on {CLUSTER}, which now has {len(nodes)} of its nodes")
    show.detail("\n".join(nodes))
    return finished


def results(show: Display, client: MLClient, job: Job) -> str:
    """Metrics and model of the job; returns the model's id."""
    import mlflow

    run = mlflow.get_run(job.name)
    metrics = ", ".join(f"{name} {value:.4f}" for name, value in sorted(run.data.metrics.items()))
    show.step("Metrics", f"from MLflow: {metrics}")
    model = client.models.get(MODEL, label="latest")
    with tempfile.TemporaryDirectory() as folder, quiet():
        client.models.download(MODEL, model.version, download_path=folder)
        files = sorted(path.name for path in Path(folder).rglob("*") if path.is_file())
    show.step("Model", f"{model.name}:{model.version} registered by the job, downloaded: {len(files)} files")
    show.detail(", ".join(files))
    return f"azureml:{model.name}:{model.version}"


def use(show: Display, client: MLClient, data: str, model: str) -> None:
    from azure.ai.ml import Input, Output, command

    job = command(
        display_name="predict breast-cancer",
        experiment_name="quickstart",
        code=str(HERE / "src"),
        command="python predict.py --model ${{inputs.model}} --data ${{inputs.data}} "
        "--predictions ${{outputs.predictions}}",
        inputs={
            "model": Input(type="mlflow_model", path=model),
            "data": Input(type="uri_file", path=data),
        },
        outputs={"predictions": Output(type="uri_folder")},
        environment=ENVIRONMENT,
        compute=CLUSTER,
    )
    with quiet():
        submitted = client.jobs.create_or_update(job)
        client.jobs.stream(submitted.name)
    with tempfile.TemporaryDirectory() as folder:
        with quiet():
            client.jobs.download(submitted.name, download_path=folder, output_name="predictions")
        predictions = next(Path(folder).rglob("predictions.csv")).read_text().split()
    show.step("Prediction", f"a second job used the model on {len(predictions) - 1} rows")
    for line in predictions[1:]:
        row, truth, probability = line.split(",")
        diagnosis = "malignant" if truth == "1" else "benign"
        show.detail(f"row {row:>3}: malignant with probability {float(probability):.3f}, in truth {diagnosis}")


def what_next(show: Display, home: Path, *, running: bool) -> None:
    show.say(
        f"\nDone in {show.seconds:.0f} s. {'The platform is still running.' if running else 'Nothing is left running.'}"
    )
    show.say("\nWhat to try next:")
    command = Path(sys.executable).parent / "lazulite"
    named = Path(*command.parts[-3:]) if command.parent.parent.parent == Path.cwd() else command
    kept = home.relative_to(Path.cwd()) if home.is_relative_to(Path.cwd()) else home
    show.command(f"{named} up --detach --home {kept}", "start the platform with what this run made in it")
    show.command(f'eval "$({named} env --home {kept})"', "point this shell's Azure ML, MLflow and Blob clients to it")
    show.command(f"{named} init", "write the config.json that MLClient.from_config finds")
    show.command(f"{named} run --home {kept} -- python your_script.py", "or do all of it for one command")
    show.command(f"{named} down --home {kept}", "stop it")
    show.say("\nREADME.md has a five-minute tour; docs/getting-started.md goes on from there.")


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep the SDK's progress bars and repeated addresses off the screen; errors still come as exceptions."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield


def lazulite_command(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "lazulite.cli.main", *arguments], check=False, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    sys.exit(main())
