"""Stage seek: one arm with one seed learns to find needles in haystacks of speech."""

from functools import partial

from focused_attention.errors import run
from focused_attention.measures.assessment import assess
from focused_attention.measures.entropies import mean_entropies
from focused_attention.measures.spans import focus
from focused_attention.runs import seeking
from focused_attention.tasks.haystack import TASKS
from focused_attention.training.fit import fit


def main(argv: list[str] | None = None) -> None:
    work, haystacks = seeking.begin(__doc__, argv)
    params = work.params.seek
    most = {
        "recall": (work.params.haystack.pairs[1], work.params.haystack.words[1]),
        "spot": (work.params.haystack.digits[1], work.params.haystack.prompts[1]),
    }
    fit(
        work,
        haystacks.training(params.mixture, params.batch_seconds, work.seed, params.curriculum),
        {
            task: haystacks.evaluation(task, "dev", *most[task], params.dev_utterances)
            for task in TASKS
            if task in params.mixture
        },
        assess=partial(assess, probe=mean_entropies),
        watch=focus,
    )


if __name__ == "__main__":
    run(main)
