"""Stage seek: one arm with one seed learns to find needles in haystacks of speech."""

from focused_attention.errors import run
from focused_attention.haystack import HaystackComposer
from focused_attention.training import session
from focused_attention.training.fit import fit


def main(argv: list[str] | None = None) -> None:
    work = session.begin(__doc__, argv, study="seek")
    params, haystacks = work.params.seek, HaystackComposer(work.composer, work.params.haystack)
    most = {
        "recall": (work.params.haystack.pairs[1], work.params.haystack.words[1]),
        "spot": (work.params.haystack.digits[1], work.params.haystack.prompts[1]),
    }
    fit(
        work,
        haystacks.training(params.mixture, params.batch_seconds, work.seed, params.curriculum),
        {
            task: haystacks.evaluation(task, "dev", *most[task], params.dev_utterances)
            for task in params.mixture
        },
    )


if __name__ == "__main__":
    run(main)
