"""The answer of a sweep in one sentence a subject, short enough to be read in seconds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bnbench.analysis import Analysis, Choice
from bnbench.analysis.design import LEARNING_RATE
from bnbench.analysis.subjects import Subject
from bnbench.report.conclusion import accuracy_sentence
from bnbench.report.headline_best import best
from bnbench.report.headline_counts import Rest, others, tally
from bnbench.report.headline_words import in_full, level_names
from bnbench.report.number_words import key_title, setting
from bnbench.report.standing import Standing, State, standings
from bnbench.report.tables import level_title

MOST_HEADLINES = 5
"""How many subjects have a headline and a picture; the other ones are counted."""

MOST_WORDS = 20
"""How many words a headline has at most."""

_FEW_PAIRS = 3  # of more pairs of levels, which nobody named, the best level is told


@dataclass(frozen=True)
class Headline:
    """What a sweep says of one subject.

    Attributes:
        subject: What sets the subject apart, such as "fc"; empty where the sweep has only one.
        words: The sentence, without its full stop.
        state: How the question stands that its first clause tells of; settled where it is in any setting.
    """

    subject: str
    words: str
    state: State

    def __str__(self) -> str:
        if self.subject:
            return f"{self.subject}: {self.words}."
        # A label such as model.activation=relu is typed that way and keeps its letters.
        return f"{self.words if '=' in self.words.split()[0] else self.words[0].upper() + self.words[1:]}."


def headlines(analysis: Analysis, choices: Sequence[Sequence[Choice]]) -> list[Headline]:
    """One headline for each of the first subjects, and one that says where the others stand.

    Args:
        analysis: The sweep.
        choices: The answers under other choices of analysis, by contrast and stratum.
    """
    every = [_headline(analysis, subject, standings(analysis, subject, choices)) for subject in analysis.subjects]
    more = every[MOST_HEADLINES:]
    if not more:
        return every
    counts = Counter(one.state for one in more)
    stand = [f"{counts[state]} {words}" for state, words in _IN_SHORT.items() if counts[state]]
    settled = all(one.state.settled for one in more)
    last = Headline(f"{len(more)} more", ", ".join(stand), State.different if settled else State.open)
    return [*every[:MOST_HEADLINES], last]


_IN_SHORT = {
    State.different: "with a better level",
    State.failing: "decided by failures",
    State.faster: "decided by steps to the target",
    State.equal: "all equal",
    State.equivalent: "equivalent",
    State.open: "where none can be told",
    State.untold: "without a pair to compare",
}


def _headline(analysis: Analysis, subject: Subject, stand: Sequence[Standing]) -> Headline:
    named = setting(subject.where)
    if stand:
        leads, told, rests = _clauses(analysis, subject, stand)
        ways = [*_ways(leads, rests), f"{sum(one.state.settled for one in stand)} of {len(stand)} comparisons settled"]
    else:
        sentence, told = accuracy_sentence(subject), []
        ways = [str(sentence), sentence.claim]
    room = MOST_WORDS - len(named.split())
    words = next((words for words in ways if len(words.split()) <= room), ways[-1])
    states = [one.state for one in told if one.state != State.untold]
    state = next((state for state in states if state.settled), State.open if states else State.untold)
    return Headline(named, words, state)


def _ways(leads: Sequence[str], rests: Sequence[Rest]) -> Iterator[str]:
    """The ways to say it, the fullest first; contrasts of which nothing is said are counted."""
    for some in (leads[:-1], leads[-1:]):
        for said in range(len(rests), -1, -1):
            for lead in some:
                yield "; ".join([lead, *(rest.clause for rest in rests[:said]), *_counted(rests[said:])])


def _clauses(
    analysis: Analysis, subject: Subject, stand: Sequence[Standing]
) -> tuple[list[str], Sequence[Standing], list[Rest]]:
    """The first clause, in ever fewer words; the contrasts that it tells of; and the clauses that may follow it."""
    name, place = level_names(analysis), _place(subject, stand)
    pairs: dict[tuple[str, str], list[Standing]] = {}
    for one in stand:
        pairs.setdefault((one.contrast.a, one.contrast.b), []).append(one)
    first = next((one for one in stand if one.state != State.untold), None)
    if first is None:
        return in_full(next((one for one in stand if one.contrast.n), stand[-1]), name)[:1], stand, []
    if len(pairs) > _FEW_PAIRS and not analysis.table.record.asked.contrasts:
        return best(stand, name, f"{level_title(analysis)}s", place), stand, []
    if all(len(some) == 1 for some in pairs.values()):
        return in_full(first, name), [first], [*others(first, [one for one in stand if one is not first], name)]
    of_first, *more = pairs.values()
    in_short = place.partition("{}")[0] + "{}"
    return [tally(of_first, name, place)], of_first, [Rest(tally(some, name, in_short), some) for some in more]


def _place(subject: Subject, stand: Sequence[Standing]) -> str:
    """Where levels are compared, with a gap for the number of settings."""
    keys = [key for key in subject.settings if not (key == LEARNING_RATE and stand[0].contrast.chosen)]
    title = key_title(keys[0]) if len(keys) == 1 else ""
    return f"at {{}} {title}s" if title and title != keys[0] else "in {} settings"


def _counted(rests: Sequence[Rest]) -> Iterator[str]:
    unsaid = [one for rest in rests for one in rest.told]
    settled = sum(one.state.settled for one in unsaid)
    if settled not in {0, len(unsaid)}:
        yield f"of {len(unsaid)} more, {settled} settled"
    elif unsaid:
        yield f"{len(unsaid)} more {'settled' if settled else 'open'}"
