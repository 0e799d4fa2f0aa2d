# What the two workflows of the exercise do by `az ml job create --name --set --stream` and `az ml job download`, by the SDK.
set -eu
sed -i -e 's|<uri_file_or_uri_folder>|uri_folder|' -e 's|<azureml:data-asset-name@latest>|azureml:diabetes-dev-folder@latest|' job.yml
python - <<'END'
import json
import re
import uuid
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

from azure.ai.ml import MLClient, load_job
from azure.identity import DefaultAzureCredential

ml_client = MLClient.from_config(DefaultAzureCredential())
for stage in ("dev", "prod"):
    name = f"diabetes-train-{stage}-{uuid.uuid4().hex[:8]}"
    data = {"inputs.training_data.path": f"azureml:diabetes-{stage}-folder@latest"}
    job = load_job("job.yml", params_override=[{"name": name}, data])
    ml_client.jobs.create_or_update(job)
    log = StringIO()
    with redirect_stdout(log):
        ml_client.jobs.stream(name)
    accuracy = re.search(r"Accuracy:\s*([0-9.]+)", log.getvalue())
    ml_client.jobs.download(name, output_name="metrics_output", download_path=stage)
    written = json.loads(Path(stage, "named-outputs", "metrics_output", "metrics.json").read_text())
    assert accuracy is not None, log.getvalue()
    assert abs(float(accuracy[1]) - written["accuracy"]) < 1e-6
    assert ml_client.jobs.get(name).services["Studio"].endpoint
END
