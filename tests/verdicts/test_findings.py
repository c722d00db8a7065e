"""Tables and verdicts from planted answers: what is planted is found, and nothing else."""

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest

from focused_attention.errors import UserError
from focused_attention.metrics.learned import temperatures
from focused_attention.params import load
from focused_attention.schema import overlay
from focused_attention.verdicts import findings, heads, rules
from focused_attention.verdicts.by_seed import by_seed
from focused_attention.verdicts.chance import chance, guessers
from focused_attention.verdicts.claims import CLAIMS
from focused_attention.verdicts.evidence import Evidence
from focused_attention.verdicts.findings import Answers, Cell, Options
from focused_attention.verdicts.guesses import by_place, guesses
from focused_attention.verdicts.readers import READERS
from focused_attention.verdicts.spotting import spotting
from focused_attention.verdicts.statistics import Difference

ROOT = Path(__file__).parents[2]
N = 256
SEEDS = 3
OPTIONS = Options(resamples=400, confidence=0.95)
ARMS = ("echo", "echo-cross-off", "echo-cross-learned", "echo-cross-true", "echo-cross-false")
TEMPERATURES = (0.5, 0.71, 1.0, 1.41, 4.0)
SHAPE = {0.5: 0.0, 0.71: 0.0, 1.0: 0.0, 1.41: -0.05, 4.0: -0.4}  # what a temperature adds


@pytest.fixture(scope="module")
def params():
    loaded = load(ROOT / "params.yaml")
    return dataclasses.replace(
        loaded,
        runs=dataclasses.replace(
            loaded.runs, seek=dataclasses.replace(loaded.runs.seek, arms=list(ARMS))
        ),
        measure=overlay(loaded.measure, {
            "sweep": {"pairs": 4, "words": [0, 40], "digits": 3, "prompts": [0, 9]}
            | {"utterances": N, "temperatures": list(TEMPERATURES)},
            "prune": {"pairs": 4, "words": {"cross": [40]}},
            "entropy": {"words": [0, 40], "utterances": 64},
        }),
        collect=dataclasses.replace(loaded.collect, resamples=400),
    )  # fmt: skip


def line(place, rates, *, seed=0, seconds=5.0, seeds=SEEDS, n=N):
    """Answers at every temperature: an utterance is right below a rate, its own luck all along."""
    luck = np.random.default_rng([seed, place.hay]).random((1, n))
    luck = np.repeat(luck, seeds, axis=0)
    luck = (luck + np.random.default_rng([seed, 9]).uniform(0, 0.02, luck.shape)) % 1
    times = 1 if place.task == "recall" else 2
    found = {}
    for value, rate in rates.items():
        right = (luck < rate).astype(np.uint8)
        below = np.full_like(right, times)
        found[place._replace(temperature=value)] = Answers(times * right, below, seconds)
    return found


def rates(level=0.8, **changes):
    """Rates by temperature; a keyword t071 changes that of temperature 0.71."""
    values = {t: level + SHAPE[t] for t in TEMPERATURES}
    names = {f"t{t:.2f}".replace(".", ""): t for t in TEMPERATURES}
    return values | {names[name]: value for name, value in changes.items()}


def arm_cells(recall=None, spot=None, dev=None):
    """What an arm answers: the rates at the longest size in cross-attention."""
    cells = {}
    for task, needles, longest, wanted in (("recall", 4, 40, recall), ("spot", 3, 9, spot)):
        for hay in (0, longest):
            planted = (wanted if hay else None) or rates()
            cells |= line(Cell(task, needles, hay, "cross", 1.0), planted)
            for slot in ("encoder", "both"):  # the same at 1, and nothing better
                cells |= line(Cell(task, needles, hay, slot, 1.0), rates(planted[1.0]))
    longest = Cell("recall", 4, 40, "cross", 1.0)
    cells |= line(longest._replace(split="dev"), dev or rates(), seed=1)
    cells |= line(longest._replace(answers="another"), dict.fromkeys(TEMPERATURES, 0.1), seed=2)
    return cells


def entropy_rows(far, near=0.5, std=0.05):
    """One seed's file: eight heads of one layer in cross-attention, at both sizes."""
    return [
        {"slot": "cross", "layer": "0", "head": str(head), "metric": metric}
        | {"temperature": "1.0", "hay": str(hay), "seconds": "5.0"}
        | {"mean": str(mean), "std": str(std), "rows": "128"}
        for hay, level in ((0, near), (40, far))
        for metric, mean in (("normalised_entropy", level), ("largest", 1 - level))
        for head in range(8)
    ]


def dev_rows(last):
    steps = ((250, 0.1), (500, last / 2 + 0.1), (750, last))
    return [
        {"step": str(step), "task": task, "first_word": str(share)}
        for step, share in steps
        for task in ("recall", "spot")
    ]


@pytest.fixture
def evidence(params):
    """Evidence with these planted in: recall, spot and pruned rates, and so on."""

    def plant(arms=ARMS, recall=None, spot=None, pruned=None, far=0.5, last=0.95, **others):
        sparse = Cell("recall", 4, 40, "cross", 1.0, top_k=8)
        learned = {arm: last.get(arm, 0.95) if isinstance(last, dict) else last for arm in arms}
        return Evidence(
            params=params,
            learning=[
                findings.learning(arm, seed, 1500, dev_rows(learned[arm]))
                for arm in arms
                for seed in (1, 2, 3)
            ],
            swept={
                arm: arm_cells(recall, spot) if arm == "echo" else arm_cells(**others.get(arm, {}))
                for arm in arms
            },
            pruned={"echo": line(sparse, pruned or rates())},
            entropies={"echo": [entropy_rows(far + d) for d in (-0.01, 0.0, 0.01)]},
            guessed={},
            asked=ASKED,
            spotted={"echo": spotted} if (spotted := others.get("spotted")) else {},
            wer=others.get("wer", wer_rows()),
            pairs=others.get("pairs", PAIRS),
            arms=[{"arm": arm, "heads": str(n)} for arm, n in READERS.items()],
            timings=others.get("timings", timed()),
        )

    return plant


def timed(published=(1.9, 3.0), corrected=(0.9, 1.1)):
    """Timings whose rounds lie between two ratios, at every length."""
    return [
        {"mechanism": name, "length": length, "rounds": 7}
        | {"ratio": sum(ends) / 2, "ratio_low": ends[0], "ratio_high": ends[1]}
        for length in (500, 6000)
        for name, ends in (("hybrid", corrected), ("hybrid_published", published))
    ]


ASKED = [
    {"pairs": "3", "hay": "40", "heard": heard, "place": place, "value": heard[int(place) - 1]}
    for heard, place in (("112", "1"), ("123", "3"), ("343", "2"), ("555", "1"))
]
PAIRS = [
    {"arm": arm, "baseline": baseline, "task": "digits", "decoding": "greedy"}
    | {"difference": "0.01", "low": "0.004", "high": "0.02"}
    for arm, baseline in (("echo-16", "echo"), ("whisper-8", "whisper"), ("echo", "whisper"))
]


def wer_rows(**changes):
    about = {"task": "digits", "decoding": "greedy", "seeds": "1", "utterances": "300"}
    return [
        {"arm": arm} | about | {"wer": str(wer), "wer_low": str(wer / 2), "wer_high": str(wer * 2)}
        for arm, wer in (dict.fromkeys(READERS, 0.005) | changes).items()
    ]


def claims(evidence):
    return rules.judge(evidence)["claims"]


def verdict(evidence):
    return {name: claim["verdict"] for name, claim in claims(evidence).items()}


# tables


def test_accuracy_has_the_planted_rates_and_differences():
    cells = arm_cells(recall=rates(0.7, t071=0.8))
    table = findings.accuracy("echo", cells, OPTIONS)
    assert all(tuple(row) == findings.COLUMNS["accuracy"] for row in table)
    assert len(table) == 2 * 2 * 3 * len(TEMPERATURES)
    assert all(row["low"] <= row["rate"] <= row["high"] for row in table)
    (sharp,) = (
        row for row in table
        if (row["task"], row["hay"]) == ("recall", 40)
        and (row["slot"], row["temperature"]) == ("cross", 0.71)
    )  # fmt: skip
    assert sharp["difference"] == pytest.approx(0.1, abs=0.03)
    assert 0.05 < sharp["difference_low"] < sharp["difference_high"] < 0.16
    assert all(row["difference_high"] == 0 for row in table if row["temperature"] == 1)


def test_f1_is_a_ratio_of_sums():
    above, below = np.array([[2, 6, 0]]), np.array([[5, 6, 3]])
    cells = {Cell("spot", 3, 0, "cross", 1.0): Answers(above, below, 1.0)}
    (row,) = findings.accuracy("echo", cells, OPTIONS)
    assert row["rate"] == pytest.approx(8 / 14)


def test_a_model_whose_temperature_is_wrong_is_found():
    wrong = rates(0.8, t100=0.6)  # sharper and softer than its own are both better
    table = findings.optimum("echo", arm_cells(recall=wrong), OPTIONS)
    assert all(tuple(row) == findings.COLUMNS["optimum"] for row in table)
    (found,) = (r for r in table if (r["task"], r["hay"], r["slot"]) == ("recall", 40, "cross"))
    assert found["temperature"] == 0.71  # 0.5 is as good, and further from 1
    assert 0.1 < found["gain_low"] < found["gain"] < found["gain_high"] < 0.3
    others = [row for row in table if row is not found]
    assert all(row["temperature"] == 1 == row["high"] for row in others)
    assert all(row["gain"] == 0 for row in others)


def test_choosing_among_equals_gains_nothing():
    rng = np.random.default_rng(5)
    gains, naive = [], []
    for _ in range(40):
        place = Cell("recall", 4, 40, "cross", 1.0)
        cells = {
            place._replace(temperature=t): Answers(
                (rng.random((3, 64)) < 0.5).astype(np.uint8), np.ones((3, 64)), 1.0
            )
            for t in TEMPERATURES
        }
        (row,) = findings.optimum("echo", cells, Options(20, 0.95))
        gains.append(row["gain"])
        naive.append(row["rate"] - cells[place].above.mean())
    assert abs(np.mean(gains)) < 3 * np.std(gains) / math.sqrt(len(gains))
    assert np.mean(naive) > 0.03


def test_pruning_is_compared_at_the_same_sparsity():
    place = Cell("recall", 4, 40, "cross", 1.0)
    cells = line(place, rates(0.8)) | line(place._replace(top_k=8), rates(0.5, t071=0.7))
    cells |= line(place._replace(int8=True), rates(0.7))
    table = findings.pruning("echo", cells, OPTIONS)
    assert all(tuple(row) == findings.COLUMNS["pruning"] for row in table)
    sharp = {(r["top_k"], r["int8"]): r for r in table if r["temperature"] == 0.71}
    assert sharp.keys() == {("", False), (8, False), ("", True)}
    assert sharp[8, False]["difference"] == pytest.approx(0.2, abs=0.05)
    assert sharp["", False]["difference"] == sharp["", True]["difference"] == 0


def test_transition_is_the_first_measurement_with_half_of_the_values():
    row = findings.learning("echo", 1, 1500, dev_rows(0.92))
    assert tuple(row) == findings.COLUMNS["learning"]
    assert (row["transition_step"], row["recall_first_word"], row["trained"]) == (500, 0.92, True)
    row = findings.learning("echo", 1, 1500, dev_rows(0.3))
    assert (row["transition_step"], row["trained"]) == ("", False)


def answered(runs_of_bits):
    """Rows of guess/ from right and digit bits by temperature, a seed after the other."""
    return [
        [
            {"needles": "3", "hay": "60", "temperature": str(t)}
            | {
                name: "".join(map(str, bits.astype(int)))
                for name, bits in (("right", right), ("digit", digit))
            }
            for t, (right, digit) in run.items()
        ]
        for run in runs_of_bits
    ]


@pytest.mark.parametrize(
    ("luck", "measure"), [(0.1, "beyond_any_digit"), (0.4, "beyond_heard_digit")]
)
def test_who_guesses_knows_nothing_by_the_guesser_he_is(luck, measure):
    """Recall that comes with more digits alone is luck, and the right correction takes it away."""
    rng = np.random.default_rng(0)
    n, planted = 4000, []
    for _ in range(3):
        lucky, knows = rng.random(n) < luck, rng.random(n) < 0.4
        every = np.ones(n, bool)  # at 1, who does not know keeps silent
        planted.append({1.0: (knows, knows), 0.71: (knows | lucky, every)})
    table = guesses("echo", answered(planted), OPTIONS)
    assert all(tuple(row) == findings.COLUMNS["guesses"] for row in table)
    at = {row["measure"]: row for row in table if row["temperature"] == 0.71}
    assert at["digits"]["rate"] == 1
    assert at["right"]["difference"] == pytest.approx(0.6 * luck, abs=0.02)
    assert at[measure]["difference"] == pytest.approx(0, abs=0.02)
    assert at[measure]["rate"] == pytest.approx(0.4, abs=0.02)
    assert at["right_given_digit"]["rate"] == at["right"]["rate"]


def test_answering_more_is_not_binding_better():
    """More digits of the same worth: recall rises, and what a digit is worth does not."""
    rng = np.random.default_rng(1)
    n, planted = 4000, []
    for _ in range(3):
        right, often, seldom = (rng.random(n) < share for share in (0.6, 0.95, 0.8))
        planted.append({1.0: (right & seldom, seldom), 0.71: (right & often, often)})
    table = guesses("echo", answered(planted), OPTIONS)
    at = {row["measure"]: row for row in table if row["temperature"] == 0.71}
    assert at["right"]["difference_low"] > 0
    assert at["right_given_digit"]["difference"] == pytest.approx(0, abs=0.02)
    assert at["beyond_heard_digit"]["difference"] > 0  # no correction for willingness to answer


def test_guesses_need_temperature_one():
    right = np.ones(8, bool)
    with pytest.raises(UserError, match=r"1\.0 must be among them"):
        guesses("echo", answered([{0.71: (right, right)}]), OPTIONS)


def test_chance_is_that_of_the_tasks_own_numbers():
    found = chance(3, 3, [])
    numbers = {"any_digit": 0.1, "heard_digit": 0.4, "pairs": 3, "values": 10}
    assert found.items() >= numbers.items()
    rng = np.random.default_rng(0)
    values = rng.integers(10, size=(100_000, 3))  # of three pairs; the first is asked
    named = values[np.arange(len(values)), rng.integers(3, size=len(values))]
    assert (named == values[:, 0]).mean() == pytest.approx(found["heard_digit"], abs=0.01)
    assert (rng.integers(10, size=len(values)) == values[:, 0]).mean() == pytest.approx(
        found["any_digit"], abs=0.01
    )
    distinct = np.mean([len(set(row)) for row in values])  # of three said, who writes all ten
    assert 2 * distinct / (3 + 10) == pytest.approx(found["every_digit_f1"], abs=0.01)


def test_guessers_that_hear_are_counted_on_the_recordings():
    found = {row["guesser"]: row["rate"] for row in guessers(ASKED)}
    assert found == {
        "any heard digit": pytest.approx((2 / 3 + 1 / 3 + 1 / 3 + 1) / 4),
        "most frequent heard digit": pytest.approx((1 + 1 / 3 + 0 + 1) / 4),
        "first heard digit": pytest.approx((1 + 0 + 0 + 1) / 4),
        "last heard digit": pytest.approx((0 + 1 + 0 + 1) / 4),
    }
    assert chance(3, 3, guessers(ASKED))["best_hearing"]["rate"] == max(found.values())


def test_who_names_the_last_digit_is_right_at_the_last_place_alone():
    n = 90
    places = [str(i % 3 + 1) for i in range(n)]
    asked = [
        {"pairs": "3", "hay": "60", "heard": "123", "place": place, "value": place}
        for place in places
    ]
    right = np.array([place == "3" for place in places])
    runs = answered([{t: (right, np.ones(n, bool)) for t in (1.0, 0.71)}] * 3)
    table = by_place("echo", runs, asked, OPTIONS)
    assert all(tuple(row) == findings.COLUMNS["places"] for row in table)
    assert [row["rate"] for row in table] == [0, 0, 1]


def test_new_digits_that_are_guesses_are_told_from_old_ones():
    """What was answered stays as right as it was; what is new is right by luck."""
    rng = np.random.default_rng(2)
    n, planted = 4000, []
    for _ in range(3):
        first, right, lucky = (rng.random(n) < share for share in (0.7, 0.8, 0.4))
        sharp = np.where(first, right, lucky), np.ones(n, bool)
        planted.append({1.0: (first & right, first), 0.71: sharp})
    table = guesses("echo", answered(planted), OPTIONS)
    at = {row["measure"]: row for row in table if row["temperature"] == 0.71}
    assert at["right_where_both"]["difference"] == 0
    assert at["right_where_both"]["rate"] == pytest.approx(0.8, abs=0.02)
    assert at["right_where_new"]["rate"] == pytest.approx(0.4, abs=0.02)
    assert at["right_given_digit"]["difference"] < -0.05  # of other recordings as well


def test_more_written_raises_f1_and_lowers_precision():
    """Three asked: at 1 two are written and right, when sharp four are, three of them right."""
    asked = "3" * 100
    runs = [
        [
            {"split": "test", "answers": "own", "task": "spot", "needles": "3", "hay": "9"}
            | {"seconds": "33.0", "slot": "cross", "temperature": str(t), "asked": asked}
            | {"written": written * 100, "right": right * 100}
            for t, written, right in ((0.71, "4", "3"), (1.0, "2", "2"), (4.0, "0", "0"))
        ]
        for _ in range(3)
    ]
    table = spotting("echo", runs, OPTIONS)
    assert all(tuple(row) == findings.COLUMNS["spotting"] for row in table)
    rates = {(row["measure"], row["temperature"]): row for row in table}
    sharp = {name: rates[name, 0.71]["difference"] for name in ("precision", "recall", "f1")}
    assert sharp == {
        "precision": pytest.approx(-0.25), "recall": pytest.approx(1 / 3),
        "f1": pytest.approx(6 / 7 - 4 / 5),
    }  # fmt: skip
    assert rates["written", 0.71]["rate"] == pytest.approx(4 / 3)
    assert math.isnan(rates["precision", 4.0]["rate"])  # nothing is written there


def test_every_seed_has_its_own_difference_and_all_have_their_average(evidence):
    found = evidence(arms=("echo",), recall=rates(0.6, t071=0.7), pruned=rates(0.5, t071=0.7))
    weak = dict(found.learning[1], recall_first_word=0.5, trained=False)
    found = dataclasses.replace(found, learning=[found.learning[0], weak, found.learning[2]])
    table = by_seed("echo", found)
    assert all(tuple(row) == findings.COLUMNS["by-seed"] for row in table)
    assert {row["temperature"] for row in table} == {0.71, 1.0}

    def at(seed, top_k="", temperature=0.71, task="recall", hay=40):
        wanted = {"seed": seed, "top_k": top_k, "temperature": temperature, "task": task}
        (row,) = (r for r in table if r["hay"] == hay and wanted.items() <= r.items())
        return row

    place = Cell("recall", 4, 40, "cross", 0.71)
    right = (
        found.swept["echo"][place].above
        - found.swept["echo"][place._replace(temperature=1.0)].above
    )
    for i, seed in enumerate((1, 2, 3)):
        assert at(seed)["difference"] == pytest.approx(right[i].mean())
        assert at(seed)["seeds"] == 1
        assert at(seed)["difference_low"] < at(seed)["difference"] < at(seed)["difference_high"]
        assert at(seed, top_k=8)["difference"] == pytest.approx(0.2, abs=0.08)
        assert at(seed, temperature=1.0)["difference"] == 0
    assert at("all")["difference"] == pytest.approx(right.mean())
    assert at("trained")["difference"] == pytest.approx(right[[0, 2]].mean())
    assert (at("all")["seeds"], at("trained")["seeds"]) == (3, 2)
    (same,) = (
        r for r in findings.accuracy("echo", found.swept["echo"], found.options)
        if (r["task"], r["hay"], r["slot"], r["temperature"]) == ("recall", 40, "cross", 0.71)
    )  # fmt: skip
    assert {name: at("all")[name] for name in findings.RATE} == {
        name: same[name] for name in findings.RATE
    }


def test_entropy_counts_heads_and_its_interval_is_the_normal_one():
    runs = [entropy_rows(0.97)] * 3  # seeds alike: utterances are all that is left to chance
    table = heads.entropy_length("echo", runs, 64, Options(4000, 0.95))
    assert all(tuple(row) == findings.COLUMNS["entropy-length"] for row in table)
    (row,) = (r for r in table if (r["metric"], r["hay"]) == ("normalised_entropy", 40))
    assert (row["collapsed_heads"], row["one_hot_heads"], row["heads"]) == (24, 0, 24)
    assert row["mean"] == pytest.approx(0.97)
    half = 1.96 * 0.05 / math.sqrt(64)
    assert row["high"] - row["low"] == pytest.approx(2 * half, rel=0.05)
    spread = heads.entropy_length("echo", [entropy_rows(0.9 + d) for d in (0, 0.05)], 64, OPTIONS)
    (wider,) = (r for r in spread if (r["metric"], r["hay"]) == ("normalised_entropy", 40))
    assert wider["high"] - wider["low"] > row["high"] - row["low"]


def test_learned_temperatures_are_read_from_the_weights_names():
    table = temperatures("echo", 2, {
        "decoder.blocks.1.cross_attn.focus.level": np.log([0.5, 2.0]),
        "decoder.blocks.1.cross_attn.focus.slope": np.array([0.0, 0.3]),
        "encoder.blocks.0.attn.focus.level": np.zeros(1),
        "encoder.blocks.0.attn.query.weight": np.zeros((2, 2)),
    })  # fmt: skip
    assert all(tuple(row) == findings.COLUMNS["temperatures"] for row in table)
    assert [tuple(row.values())[2:] for row in table] == [
        ("cross", 1, 0, pytest.approx(0.5), 0.0),
        ("cross", 1, 1, pytest.approx(2.0), 0.3),
        ("encoder", 0, 0, 1.0, 0.0),
    ]


def test_seeds_that_were_asked_other_things_are_an_error():
    row = {"task": "recall", "needles": "4", "hay": "0", "slot": "cross", "temperature": "1.0"}
    runs = [[row | {"right": "0101"}], [row | {"right": "010"}]]
    with pytest.raises(UserError, match="seeds differ"):
        findings.gather(runs, "sweep")
    gathered = findings.gather([runs[0], runs[0]], "sweep")
    assert gathered[Cell("recall", 4, 0, "cross", 1.0)].above.shape == (2, 4)


def test_without_temperature_one_nothing_can_be_compared():
    cells = line(Cell("recall", 4, 0, "cross", 1.0), {0.5: 0.5})
    with pytest.raises(UserError, match=r"1\.0 must be among"):
        findings.accuracy("echo", cells, OPTIONS)


# verdicts


def test_planted_effects_are_supported(evidence):
    better = {"recall": rates(0.9)}
    judged = rules.judge(
        evidence(
            recall=rates(0.7, t071=0.8), spot=rates(0.7, t071=0.8), pruned=rates(0.5, t071=0.7),
            far=0.7, **{"echo-cross-learned": better, "echo-cross-false": better},
        )
    )  # fmt: skip
    assert {c["verdict"] for c in judged["claims"].values()} == {"supported"}
    assert all(check["holds"] for check in judged["checks"].values())
    for name in CLAIMS:
        claim = judged["claims"][name]
        assert claim["low"] > 0
        assert claim["p"] <= claim["p_holm"] < 0.05
        assert claim["missing"] is None
    assert judged["claims"]["C1"]["effect"] == pytest.approx(0.1, abs=0.03)
    assert judged["claims"]["C2"]["effect"] == pytest.approx(0.2)
    assert judged["claims"]["C4"]["temperature"] == 1


def test_no_effect_is_refuted_where_the_interval_is_narrow(evidence):
    found = claims(evidence())
    assert {found[name]["verdict"] for name in ("C1", "C3", "C4", "C5", "C6")} == {"refuted"}
    assert found["C1"]["effect"] == 0
    assert found["C1"]["p"] == 1


def test_a_planted_drop_is_refuted(evidence):
    found = claims(evidence(recall=rates(0.8, t071=0.7), far=0.3))
    assert found["C1"]["verdict"] == found["C2"]["verdict"] == "refuted"
    assert "below zero" in found["C1"]["reason"]


def test_shuffled_labels_have_no_effect(evidence):
    rng = np.random.default_rng(4)
    planted = evidence(recall=rates(0.5, t071=0.9))
    cells = planted.swept["echo"]
    sharp, plain = (Cell("recall", 4, 40, "cross", t) for t in (0.71, 1.0))
    assert claims(planted)["C1"]["verdict"] == "supported"
    swap = rng.random((SEEDS, N)) < 0.5
    a, b = cells[sharp].above, cells[plain].above
    for place, above in ((sharp, np.where(swap, a, b)), (plain, np.where(swap, b, a))):
        for slot in ("cross", "encoder", "both") if place is plain else ("cross",):
            cells[place._replace(slot=slot)] = cells[place]._replace(above=above)
    found = claims(planted)["C1"]
    assert found["verdict"] == "undecided"
    assert found["low"] < 0 < found["high"]


def test_an_uncertain_effect_is_undecided_and_says_what_is_missing(evidence):
    planted = evidence()
    plain = Cell("recall", 4, 40, "cross", 1.0)
    cells = planted.swept["echo"]
    right = cells[plain].above.copy()
    right[:, np.flatnonzero(right.max(axis=0) == 0)[:14]] = 1  # answers that change, either way
    right[:, np.flatnonzero(right.min(axis=0) == 1)[:8]] = 0
    cells[plain._replace(temperature=0.71)] = cells[plain]._replace(above=right)
    found = claims(planted)["C1"]
    assert found["verdict"] == "undecided"
    assert found["low"] < 0 < 0.02 < found["high"]
    more = found["missing"]
    assert more["half_width"] == pytest.approx((found["high"] - found["low"]) / 2)
    assert more["utterances"] == pytest.approx(4 * N, rel=0.1)
    assert more["seeds"] is None


@pytest.mark.parametrize(
    ("low", "estimate", "high", "p", "expected"),
    [
        (0.01, 0.03, 0.05, 0.01, "supported"),
        (0.01, 0.02, 0.03, 0.01, "supported"),
        (0.01, 0.03, 0.05, 0.06, "undecided"),  # the adjusted p-value
        (0.005, 0.015, 0.025, 0.01, "undecided"),  # below the margin, which is not excluded
        (-0.01, 0.03, 0.05, 0.2, "undecided"),
        (0.005, 0.01, 0.015, 0.01, "refuted"),  # there is an effect, but not one that matters
        (-0.01, 0.0, 0.01, 1.0, "refuted"),
        (-0.1, -0.05, -0.01, 0.01, "refuted"),
    ],
)
def test_the_rule_of_the_plan(low, estimate, high, p, expected):
    verdict, reason = rules.decide(Difference(estimate, low, high, p, 1.0), p)
    assert verdict == expected
    assert reason.endswith(".")


def test_the_fixed_arms_temperature_is_chosen_on_dev(evidence):
    off = {"recall": rates(0.6, t141=0.8), "dev": rates(0.6, t050=0.7)}  # test has another best
    found = claims(evidence(**{"echo-cross-off": off}))["C4"]
    assert found["temperature"] == 0.5
    assert found["effect"] == pytest.approx(0.2, abs=0.04)


def test_an_arm_that_cannot_recall_is_not_judged(evidence):
    effect = {"recall": rates(0.7, t071=0.8), "far": 0.7}
    found = claims(evidence(last=0.85, **effect))
    for name in ("C1", "C3", "C4", "C5", "C6"):
        assert found[name]["verdict"] == "undecided"
        assert found[name]["effect"] is None
        assert "nine in ten" in found[name]["reason"]
        assert found[name]["ungated"] is None
    assert found["C2"]["verdict"] == "supported"
    found = claims(evidence(last={"echo-cross-true": 0.5}, **effect))
    assert found["C1"]["verdict"] == "supported"
    assert found["C6"]["reason"].endswith("recalled by echo-cross-true.")
    assert found["C4"]["ungated"] is None


def test_arms_that_miss_the_gate_are_shown_and_decide_nothing(evidence):
    better = {"echo-cross-false": {"recall": rates(0.9)}}
    judged = claims(evidence(last={"echo-cross-true": 0.5}, **better))["C6"]
    assert judged["verdict"] == "undecided"
    assert judged["effect"] is judged["p_holm"] is judged["missing"] is None
    passed = claims(evidence(**better))["C6"]
    for key in ("effect", "low", "high", "n", "seeds"):
        assert judged["ungated"][key] == passed[key]


@pytest.mark.parametrize(
    ("shares", "expected"), [((0.95, 0.95, 0.8), []), ((0.9, 0.9, 0.89), ["echo"])]
)
def test_the_gate_is_the_average_of_the_seeds(evidence, shares, expected):
    rows = [findings.learning("echo", s, 9, dev_rows(v)) for s, v in enumerate(shares)]
    assert dataclasses.replace(evidence(), learning=rows).untrained("echo") == expected


def test_an_arm_that_was_not_trained_leaves_its_claims_undecided(evidence):
    found = claims(evidence(arms=("echo",), recall=rates(0.7, t071=0.8)))
    assert found["C1"]["verdict"] == "supported"
    for name in ("C4", "C6"):
        assert found[name]["verdict"] == "undecided"
        assert found[name]["effect"] is found[name]["p"] is found[name]["missing"] is None
        assert "does not train" in found[name]["reason"]


def test_too_few_seeds_decide_nothing(evidence):
    planted = evidence(recall=rates(0.7, t071=0.8))
    runs = planted.params.runs
    runs = dataclasses.replace(runs, seek=dataclasses.replace(runs.seek, seeds=[4]))
    one = dataclasses.replace(planted, params=dataclasses.replace(planted.params, runs=runs))
    found = claims(one)
    assert [found[name]["effect"] for name in CLAIMS] == [None] * 6
    assert found["C1"]["reason"] == "The plan asks for 3 seeds, this profile has 1."


def test_a_size_that_was_not_measured_leaves_its_claim_undecided(evidence):
    planted = evidence()
    planted.params.measure["sweep"]["words"].append(200)
    try:
        found = claims(planted)["C1"]
    finally:
        planted.params.measure["sweep"]["words"].remove(200)
    assert found["verdict"] == "undecided"
    assert "200 to pass over" in found["reason"]


def test_six_comparisons_are_adjusted_for_even_if_fewer_are_made(evidence):
    judged = rules.judge(evidence(arms=("echo",), recall=rates(0.7, t071=0.8)))
    assert judged["family"].keys() == {"C1", "C2", "C3", "C4", "C5", "C6"}
    assert judged["family"]["C1"]["p_holm"] == pytest.approx(6 * judged["family"]["C1"]["p"])
    assert judged["family"]["C4"] == {"p": 1, "p_holm": 1}


@pytest.mark.parametrize("broken", ["exchanged", "hot", "neutral", "entropy"])
def test_nothing_is_judged_with_a_broken_instrument(evidence, broken):
    planted = evidence(recall=rates(0.7, t071=0.8), far=1.2 if broken == "entropy" else 0.7)
    cells = planted.swept["echo"]
    longest = Cell("recall", 4, 40, "cross", 1.0)
    if broken == "exchanged":
        cells |= line(longest._replace(answers="another"), rates(0.3), seed=2)
    if broken == "hot":
        for hay in (0, 40):
            cells |= line(longest._replace(hay=hay), rates(0.7, t400=0.7))
    if broken == "neutral":
        encoder = longest._replace(slot="encoder")
        cells[encoder] = cells[encoder]._replace(above=1 - cells[encoder].above)
    judged = rules.judge(planted)
    failed = [name for name, check in judged["checks"].items() if check["holds"] is False]
    assert broken in failed
    assert judged["checks"][broken]["equivalence"]["outcome"] == "fails"
    assert {judged["claims"][name]["verdict"] for name in CLAIMS} == {"undecided"}
    assert f"instrument failed: {', '.join(failed)}" in judged["claims"]["C1"]["reason"]


def test_a_check_names_its_confidence_its_claims_and_its_bound(evidence):
    judged = rules.judge(evidence())
    for name, check in judged["checks"].items():
        bound = check["equivalence"]["bound"]
        assert (check["confidence"], bound) in {(0.99, 0.02), (None, None)}, name
        assert set(check["guards"]) <= set(CLAIMS), name
    guarded = judged["checks"]["exchanged"]["guards"]
    assert "C1" in guarded
    assert not {"C2", "C3"} & set(guarded)  # entropies, and digits that are not recalled
    assert judged["of_one_machine"] == ["C1", "C2", "C3", "C4", "C5", "C6"]


def test_a_change_that_is_small_and_certain_is_within_the_next_plans_bound(evidence):
    """Zero lies outside, so the check of the first plan fails; a bound of two points holds it."""
    planted = evidence()
    cells = planted.swept["echo"]
    longest = Cell("recall", 4, 40, "cross", 1.0, answers="another")
    seeds, n = cells[longest].above.shape
    plain = np.zeros((seeds, n), np.uint8)
    plain[:, : n // 10] = 1
    sharp = plain.copy()
    sharp[:, n // 10 : n // 10 + 3] = 1  # one point more, with every seed
    one = np.ones_like(plain)
    cells[longest] = Answers(plain, one, 5.0)
    cells[longest._replace(temperature=0.71)] = Answers(sharp, one, 5.0)
    found = rules.judge(planted)["checks"]["exchanged"]
    assert 0 <= found["difference_low"] < found["difference_high"] < 0.04
    expected = "holds" if found["difference_high"] <= 0.02 else "waits"
    assert found["equivalence"]["outcome"] == expected


def test_the_parts_of_f1_stand_in_the_verdict(evidence):
    spotted = [
        {"arm": "echo", "hay": 9, "temperature": 0.71, "measure": measure}
        | dict(zip(findings.RATE, (3, N, 0.9, 0.8, 1.0, change, -0.1, 0.1), strict=True))
        for measure, change in (("precision", -0.05), ("recall", 0.1))
    ]
    parts = claims(evidence(spotted=spotted))["C3"]["parts"]
    assert parts["precision"]["effect"] == -0.05
    assert parts["recall"] == {"at_one": 0.8, "effect": 0.1, "low": -0.1, "high": 0.1}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "supported"),
        ({"wer": wer_rows(echo=0.04)}, "undecided"),
        ({"wer": wer_rows(echo=0.2)}, "refuted"),
        ({"wer": wer_rows()[1:]}, "undecided"),
        ({"timings": timed(published=(0.8, 0.9))}, "refuted"),
        ({"timings": timed(published=(0.9, 1.2))}, "undecided"),
        ({"timings": timed(corrected=(0.8, 0.9))}, "supported"),  # decides nothing
        ({"timings": []}, "undecided"),
    ],
)
def test_reading_and_run_time(evidence, changes, expected):
    found = claims(evidence(arms=("echo",), **changes))["C0"]
    assert found["verdict"] == expected
    assert found["reason"].endswith(".")


def test_run_times_are_those_of_the_module_they_name(evidence):
    times = claims(evidence(arms=("echo",)))["C0"]["lines"]["run_time"]
    mechanisms = {"published": "hybrid_published", "corrected": "hybrid"}
    for name, mechanism in mechanisms.items():
        assert [row["length"] for row in times[name]] == [500, 6000]
        assert {row["mechanism"] for row in times[name]} == {mechanism}
    assert {row["word"] for row in times["published"]} == {"slower"}
    assert {row["word"] for row in times["corrected"]} == {"open"}  # the interval holds 1


def test_heads_and_model_are_told_apart_in_either_direction(evidence):
    apart = claims(evidence(arms=("echo",)))["C0"]["lines"]["apart"]
    found = {(row["differs"], row["arm"], row["baseline"]): row for row in apart}
    assert [*found] == [
        ("heads", "echo-16", "echo"), ("heads", "whisper", "whisper-8"),
        ("both", "echo", "whisper"),
    ]  # fmt: skip
    turned = found["heads", "whisper", "whisper-8"]
    assert (turned["difference"], turned["low"], turned["high"]) == (-0.01, -0.02, -0.004)
