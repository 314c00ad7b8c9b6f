"""OpenLineage's events as a file transport wrote them, read back by the models of openlineage-python."""

from __future__ import annotations

import importlib
import json
import pkgutil
from pathlib import Path
from typing import Any

import attr
from openlineage.client import event_v2, generated

_AMONG = ("_producer", "_schemaURL", "_deleted")


def read_events(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def check_event(event: dict[str, Any]) -> event_v2.RunEvent:
    """The event as the model that it says to be; so is each of its facets. Raises where one is not."""
    run, job = event["run"], event["job"]
    return event_v2.RunEvent(
        eventType=event_v2.RunState(event["eventType"]),
        eventTime=event["eventTime"],
        producer=event["producer"],
        run=event_v2.Run(run["runId"], facets=_facets(run["facets"])),
        job=event_v2.Job(job["namespace"], job["name"], facets=_facets(job["facets"])),
        inputs=[
            event_v2.InputDataset(
                one["namespace"],
                one["name"],
                facets=_facets(one["facets"]),
                inputFacets=_facets(one["inputFacets"]),
            )
            for one in event["inputs"]
        ],
        outputs=[
            event_v2.OutputDataset(
                one["namespace"],
                one["name"],
                facets=_facets(one["facets"]),
                outputFacets=_facets(one["outputFacets"]),
            )
            for one in event["outputs"]
        ],
    )


def _facets(facets: dict[str, Any]) -> dict[str, Any]:
    """The facets that OpenLineage's own specification has; those of a producer's own may be anything."""
    models = _models()
    return {
        name: _build(models[facet["_schemaURL"]], facet)
        for name, facet in facets.items()
        if facet["_schemaURL"] in models
    }


def _models() -> dict[str, Any]:
    """By the URL of its schema, the model of each facet; not those of all facets, which a producer's own may bear."""
    modules = [
        importlib.import_module(f"{generated.__name__}.{module.name}")
        for module in pkgutil.iter_modules(generated.__path__)
        if module.name != "base"
    ]
    classes = [
        one
        for module in modules
        for one in vars(module).values()
        if hasattr(one, "_get_schema") and one.__module__ == module.__name__
    ]
    return {one._get_schema(): one for one in classes if one._get_schema()}


def _build(model: Any, content: dict[str, Any]) -> Any:
    """Raises TypeError where the content has what the model has not, or lacks what it needs."""
    known = {field.name for field in attr.fields(model)}
    given = {name: value for name, value in content.items() if name not in _AMONG}
    assert set(given) <= known, (model, set(given) - known)
    return model(**given)
