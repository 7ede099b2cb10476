"""Answers as they are recorded, and the places where two differ."""

import json
from itertools import groupby

MISSING = "(nothing)"


def save(path, answers):
    """`answers`: {(api, row, version): list}. Versions of a row with equal answers share a line."""
    lines = []
    rows = {}
    for (api, row, version), given in answers.items():
        rows.setdefault((api, row), []).append((version, given))
    for (api, row), pairs in rows.items():
        for _, run in groupby(sorted(pairs, key=lambda pair: pair[0]), lambda pair: pair[1]):
            run = list(run)
            line = {"api": api, "row": row, "versions": [version for version, _ in run],
                    "answers": run[0][1]}
            lines.append(json.dumps(line, ensure_ascii=True))
    path.write_text("\n".join(lines) + "\n")


def load(path):
    answers = {}
    for line in path.read_text().splitlines():
        kept = json.loads(line)
        for version in kept["versions"]:
            answers[kept["api"], kept["row"], version] = kept["answers"]
    return answers


def recorded(answers, version):
    """What a run saw, in the form that `load` gives: the row's version is left out."""
    return json.loads(json.dumps(answers).replace(f" v{version}\"", " v\""))


def places(kafka, other, path=""):
    """Every place where the two differ: (path, Kafka's value, the other's)."""
    if isinstance(kafka, dict) and isinstance(other, dict):
        for key in sorted(set(kafka) | set(other)):
            yield from places(kafka.get(key, MISSING), other.get(key, MISSING), f"{path}.{key}")
    elif isinstance(kafka, list) and isinstance(other, list):
        for index in range(max(len(kafka), len(other))):
            pair = [each[index] if index < len(each) else MISSING for each in (kafka, other)]
            yield from places(*pair, f"{path}.{index}")
    elif kafka != other:
        yield path.removeprefix("."), kafka, other


def restricted(kafka, other):
    """Kafka's list of APIs without those that the other broker does not serve."""
    served = {key for answer in other for key in answer.get("ApiKeys") or ()}
    return [
        {**answer, "ApiKeys": {k: v for k, v in answer["ApiKeys"].items() if k in served}}
        if answer.get("ApiKeys") else answer
        for answer in kafka
    ]
