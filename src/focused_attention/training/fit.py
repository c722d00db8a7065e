"""Train the arm of a session and leave its weights, curves and provenance behind."""

import logging
import time
from collections.abc import Iterator

from focused_attention import results
from focused_attention.paths import CHECKPOINTS, LOGS, RESULTS
from focused_attention.regularisers import wrapped
from focused_attention.runs import weights
from focused_attention.runs.session import Session
from focused_attention.tasks.utterances import Utterance
from focused_attention.training.loop import Assess, Watch, train
from focused_attention.training.objective import losses


def fit(
    work: Session,
    plans: Iterator[list[Utterance]],
    dev: dict[str, list[Utterance]],
    *,
    assess: Assess,
    watch: Watch,
) -> None:
    """Train on the batches of `plans`, and on the way measure the utterances of `dev`, by task.

    How they are measured is `assess`, and `watch` what is seen of the training steps themselves.
    """
    state = work.file(CHECKPOINTS, ".safetensors")
    label = f"{work.study} {work.run}"
    began = time.perf_counter()
    history = train(
        work.prepare(),
        work.composer,
        work.training,
        plans=plans,
        dev=dev,
        assess=assess,
        hardware=work.hardware,
        path=state,
        fingerprint=work.fingerprint,
        log=work.file(LOGS, ".jsonl"),
        label=label,
        watch=watch,
        objective=wrapped(losses, work.regularisers),
    )
    logging.info("%s: %.0f s", label, time.perf_counter() - began)
    trained = {name: tensor.float() for name, tensor in work.model.state_dict().items()}
    weights.save(work.weights, trained)
    results.write_csv(work.file(RESULTS, ".csv"), history.steps)
    results.write_csv(work.file(RESULTS, "-dev.csv"), history.dev)
    results.write_json(
        work.file(RESULTS, ".json"),
        work.provenance("train", work.stage)
        | {
            "steps": work.training.steps,
            "parameters": sum(p.numel() for p in work.model.parameters()),
            "trained": history.trained,
            "fingerprint": work.fingerprint,
        },
    )
    state.unlink(missing_ok=True)
