"""Pipelines with choices and loops, submitted by the unmodified SDK: `python -m tests.clients.control_flow_pipelines`.

A program of its own, because the SDK decides when it is imported whether it sends control nodes. Prints the names of
the jobs as JSON, by the names of the functions below.
"""

import json
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

import yaml
from azure.ai.ml import Input, MLClient, dsl, load_component, load_job
from azure.ai.ml.dsl._condition import condition
from azure.ai.ml.dsl._do_while import do_while
from azure.ai.ml.dsl._parallel_for import parallel_for
from azure.ai.ml.entities import Data
from azure.identity import DefaultAzureCredential
from tests.server_fixture import GROUP, SUBSCRIPTION, WORKSPACE

COUNT = """
type: command
name: count
inputs:
  n: {type: integer}
  limit: {type: integer, default: 3}
outputs:
  again: {type: boolean, is_control: true}
  next: {type: integer, is_control: true}
command: |
  echo $((${{inputs.n}} + 1)) > ${{outputs.next}}
  if [ ${{inputs.n}} -lt ${{inputs.limit}} ]; then echo True; else echo False; fi > ${{outputs.again}}
environment: azureml:bare:1
"""
TELL = """
type: command
name: tell
inputs:
  text: {type: string}
  data: {type: uri_folder, optional: true}
outputs:
  folder: {type: uri_folder}
  length: {type: integer, is_control: true}
command: |
  echo '${{inputs.text}}' | tee ${{outputs.folder}}/a.txt
  printf '%s' '${{inputs.text}}' | wc -c > ${{outputs.length}}
  $[[ls ${{inputs.data}} >> ${{outputs.folder}}/a.txt]]
environment: azureml:bare:1
"""
COLLECT = """
type: command
name: collect
inputs:
  table: {type: mltable}
  lengths: {type: string}
outputs:
  all: {type: uri_file}
command: |
  (cat ${{inputs.table}}/MLTable ${{inputs.table}}/*/a.txt; echo '${{inputs.lengths}}') | tee ${{outputs.all}}
environment: azureml:bare:1
"""


YAML = """
type: pipeline
settings:
  default_compute: serverless
inputs:
  flag: false
jobs:
  write:
    type: command
    environment: azureml:bare:1
    command: echo '[{"text":"x"},{"text":"y"},{"text":"z"}]' > ${{outputs.list}}
    outputs:
      list: {type: uri_file}
  choose:
    type: if_else
    condition: ${{parent.inputs.flag}}
    true_block: ${{parent.jobs.left}}
    false_block: ${{parent.jobs.each}}
  left:
    type: command
    component: ./tell.yml
    inputs: {text: left}
  each:
    type: command
    component: ./tell.yml
  every:
    type: parallel_for
    body: ${{parent.jobs.each}}
    items: ${{parent.jobs.write.outputs.list}}
"""


def choosing(parts: dict[str, Any], folder: Path, client: MLClient) -> Any:
    @dsl.pipeline(default_compute="serverless")
    def built(n: int) -> None:
        first = parts["count"](n=n)
        low = parts["tell"](text="low")
        high = parts["tell"](text="high")
        after = parts["tell"](text="after", data=high.outputs.folder)
        after.name = "after"
        condition(condition=first.outputs.again, true_block=[low], false_block=high)
        onward = parts["count"](n=first.outputs.next, limit=9)
        onward.name = "onward"

    return built(n=1)


def looping(parts: dict[str, Any], folder: Path, client: MLClient) -> Any:
    @dsl.pipeline
    def body(n: Input(type="integer"), limit: Input(type="integer", default=3)):  # type: ignore[no-untyped-def, valid-type]
        once = parts["count"](n=n, limit=limit)
        return {"again": once.outputs.again, "next": once.outputs.next}

    @dsl.pipeline(default_compute="serverless")
    def built(start: int) -> None:
        inner = body(n=start)
        do_while(
            body=inner,
            mapping={inner.outputs.next: inner.inputs.n},
            condition=inner.outputs.again,
            max_iteration_count=10,
        )
        single = parts["count"](n=inner.outputs.next, limit=1000)
        do_while(body=single, mapping={"next": single.inputs.n}, condition=None, max_iteration_count=2)

    return built(start=2)


def spreading(parts: dict[str, Any], folder: Path, client: MLClient) -> Any:
    (folder / "data").mkdir()
    (folder / "data" / "seen.txt").write_text("x")
    asset = client.data.create_or_update(Data(name="seen", version="1", type="uri_folder", path=str(folder / "data")))

    @dsl.pipeline(default_compute="serverless")
    def built(words: str):  # type: ignore[no-untyped-def]
        each = parts["tell"]()
        every = parallel_for(
            body=each,
            items=[{"text": text, "data": Input(type="uri_folder", path=asset.id)} for text in ("one", "three")],
            max_concurrency=1,
        )
        collected = parts["collect"](table=every.outputs.folder, lengths=every.outputs.length)
        word = parts["tell"]()
        parallel_for(body=word, items=words)
        return {"all": collected.outputs.all, "folder": every.outputs.folder}

    return built(words=json.dumps({"a": {"text": "A"}, "b": {"text": "B"}}))


def nested(parts: dict[str, Any], folder: Path, client: MLClient) -> Any:
    """A loop over items whose body is a pipeline with a choice in it."""

    @dsl.pipeline
    def body(n: Input(type="integer")):  # type: ignore[no-untyped-def, valid-type]
        one = parts["count"](n=n)
        small = parts["tell"](text="small")
        condition(condition=one.outputs.again, true_block=small)
        return {"next": one.outputs.next}

    @dsl.pipeline(default_compute="serverless")
    def built() -> None:
        inner = body()
        numbers = parallel_for(body=inner, items=[{"n": 1}, {"n": 5}])
        parts["tell"](text=numbers.outputs.next)

    return built()


def from_yaml(parts: dict[str, Any], folder: Path, client: MLClient) -> Any:
    (folder / "pipeline.yml").write_text(YAML)
    return load_job(folder / "pipeline.yml")


def main() -> None:
    warnings.filterwarnings("ignore")
    client = MLClient(DefaultAzureCredential(), SUBSCRIPTION, GROUP, WORKSPACE)
    folder = Path(tempfile.mkdtemp())
    parts = {}
    for text in (COUNT, TELL, COLLECT):
        path = folder / f"{yaml.safe_load(text)['name']}.yml"
        path.write_text(text)
        parts[path.stem] = load_component(path)
    found = {}
    for build in (choosing, looping, spreading, nested, from_yaml):
        found[build.__name__] = client.jobs.create_or_update(build(parts, folder, client)).name
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
