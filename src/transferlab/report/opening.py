"""The figures of scores, and the one among them that opens a report: on what the answer begins with.

That is the target that leads, else the mean over the targets, else the only target.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

from transferlab.answers.estimate import MEAN
from transferlab.answers.study import Score, StudyAnswers
from transferlab.report.document import Picture
from transferlab.report.figures import describe, scores_figure
from transferlab.report.pictures import svg_picture
from transferlab.specs import TargetFacts


@dataclass(frozen=True, eq=False)
class Shown:
    """What a figure of scores shows: one target of a study, by the first protocol that measured it."""

    study: StudyAnswers
    target: TargetFacts
    protocol: str

    def picture(self, caption: str = "") -> Picture:
        """The figure, with its numbers in words."""
        drawn = scores_figure(self.study, self.target, self.protocol)
        return svg_picture(drawn, describe(self.study, self.target, self.protocol), self.target.name, caption)


def opening(study: StudyAnswers) -> Shown:
    """What the first figure of a study shows."""
    shown = _each(study)
    leading = [each for each in shown if each.target.leads]
    together = [each for each in shown if each.target.name in study.weights] or shown
    if leading or len(together) == 1:
        return (leading or together)[0]
    return _mean(study, together)


def others(study: StudyAnswers) -> list[Shown]:
    """What the other figures of scores show, each target in its turn."""
    first = opening(study).target.name
    return [each for each in _each(study) if each.target.name != first]


def legend(study: StudyAnswers) -> str:
    """What the lines of these figures mean."""
    controls = [f"{c.title} ({c.explained})" if c.explained else c.title
                for c in study.conditions if c.is_control and not c.repeats]  # fmt: skip
    dashed = f" Dashed lines are controls: {', '.join(controls)}." if controls else ""
    return f"Thin lines join the networks of one seed; diamonds are their means.{dashed}"


def protocols(study: StudyAnswers) -> list[str]:
    """The protocols of the scores, in order; "" if there are none."""
    return list(dict.fromkeys(s.protocol for s in study.scores if not s.beside)) or [""]


def _each(study: StudyAnswers) -> list[Shown]:
    known, measured = protocols(study), {(s.target, s.protocol) for s in study.scores}
    return [Shown(study, t, next((p for p in known if (t.name, p) in measured), known[0])) for t in study.targets]


def _mean(study: StudyAnswers, together: Sequence[Shown]) -> Shown:
    """The mean over these targets, weighted as in contrasts, as if it were a target; of the networks that have a score on each."""
    weights = {each.target.name: study.weights.get(each.target.name, 1 / len(together)) for each in together}
    protocol_of = {each.target.name: each.protocol for each in together}
    held: defaultdict[tuple[str, int], dict[str, Score]] = defaultdict(dict)
    for score in study.scores:
        if score.target in protocol_of and (score.beside or score.protocol == protocol_of[score.target]):
            held[score.condition, score.seed].setdefault(score.target, score)
    whole = [list(scores.values()) for scores in held.values() if len(scores) == len(together)]
    first, targets = together[0], [each.target for each in together]
    means = tuple(
        replace(scores[0], target=MEAN, protocol=first.protocol, value=sum(weights[s.target] * s.value for s in scores))
        for scores in whole
    )
    metrics = {t.metric for t in targets}
    chances = [weights[t.name] * t.chance for t in targets if t.chance is not None]
    mean = replace(
        first.target, name=MEAN, metric=first.target.metric if len(metrics) == 1 else "score",
        chance=sum(chances) if len(chances) == len(targets) else None,
    )  # fmt: skip
    return Shown(replace(study, targets=(mean,), scores=means), mean, first.protocol)
