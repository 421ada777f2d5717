"""A profile's run described for machines, as a Workflow Run RO-Crate."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from rocrate.model import ContextEntity
from rocrate.rocrate import ROCrate

from lung_attention.files import sha256

_PROFILES = (
    "https://w3id.org/ro/wfrun/process/0.5",
    "https://w3id.org/ro/wfrun/workflow/0.5",
    "https://w3id.org/workflowhub/workflow-ro-crate/1.0",
)
_LICENCE = "https://spdx.org/licenses/MIT"


def run_crate(
    root: Path,
    *,
    name: str,
    description: str,
    workflow: Path,
    inputs: Iterable[Path],
    external: Mapping[str, str],
    outputs: Iterable[Path],
    published: str,
    version: str,
) -> dict[str, Any]:
    """Describes what was run with what and gave what.

    Args:
        root: The project's root; the crate's own.
        name: Of the run.
        description: Of the run.
        workflow: `dvc.yaml`, relative to the root like all that follows.
        inputs: Files that it read: parameters, datasets' files, lock.
        external: Archives and weights that are not in the repository: names with their SHA-256.
        outputs: Files that it wrote.
        published: Date of the description, YYYY-MM-DD.
        version: Of the code.

    Returns:
        The content of `ro-crate-metadata.json`.
    """
    crate = ROCrate()
    crate.name, crate.description, crate.license = name, description, _LICENCE
    crate.root_dataset["datePublished"] = published
    for profile in _PROFILES:
        *_, title, number = profile.split("/")
        about = {"@type": "CreativeWork", "name": title, "version": number}
        crate.add(ContextEntity(crate, profile, properties=about))
    crate.root_dataset["conformsTo"] = [{"@id": profile} for profile in _PROFILES]
    dvc = crate.add(
        ContextEntity(
            crate,
            "https://dvc.org",
            properties={"@type": "ComputerLanguage", "name": "DVC", "url": "https://dvc.org"},
        )
    )
    kinds = ["File", "SoftwareSourceCode", "ComputationalWorkflow"]
    properties: dict[str, Any] = {
        "@type": kinds,
        "name": "the pipeline",
        "version": version,
        "programmingLanguage": dvc,
    }
    main = crate.add_file(root / workflow, dest_path=workflow, properties=properties)
    crate.mainEntity = main

    def added(path: Path) -> Any:
        about = {"name": path.name, "sha256": sha256(root / path)}
        return crate.add_file(root / path, dest_path=path, properties=about)

    read = [added(path) for path in inputs]
    read += [
        crate.add(
            ContextEntity(
                crate,
                f"#{source}",
                properties={"@type": "CreativeWork", "name": source, "identifier": f"sha256:{digest}"},
            )
        )
        for source, digest in external.items()
    ]
    written = [added(path) for path in outputs]
    action = crate.add(
        ContextEntity(
            crate,
            "#run",
            properties={
                "@type": "CreateAction",
                "name": name,
                "description": description,
                "actionStatus": "http://schema.org/CompletedActionStatus",
                "endTime": published,
            },
        )
    )
    action["instrument"] = main
    action["object"] = read
    action["result"] = written
    crate.root_dataset["mentions"] = action
    return dict(crate.metadata.generate())
