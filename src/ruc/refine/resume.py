"""How to stop a refinement between two epochs, and go on."""

from dataclasses import asdict

from ruc.errors import InputError
from ruc.networks import State, load_optimizer, optimizer_tensors
from ruc.refine.members import Member
from ruc.refine.trained import Epoch
from ruc.refine.trust import Trust


def snapshot(members: tuple[Member, Member], trust: Trust, history: list[Epoch]) -> State:
    """Everything that the next epoch depends on."""
    weights = {"trust.pseudo_labels": trust.pseudo_labels, "trust.clean_since": trust.clean_since}
    for name, member in zip(("first", "second"), members, strict=True):
        weights |= {f"{name}.confidence": member.confidence, f"{name}.opinion": member.opinion}
        weights |= {f"{name}.network.{key}": value for key, value in member.network.state_dict().items()}
        moments = optimizer_tensors(member.optimizer)
        weights |= {f"{name}.optimizer.{key}": value for key, value in moments.items()}
    copies = {key: value.detach().cpu().clone() for key, value in weights.items()}
    return State({"kind": "refinement", "history": [asdict(epoch) for epoch in history]}, copies)


def restore(state: State, members: tuple[Member, Member], trust: Trust) -> list[Epoch]:
    """Put members and trust back to where the snapshot was taken; returns the history until then."""
    if state.config.get("kind") != "refinement":
        raise InputError(
            f"cannot resume from a state of kind {state.config.get('kind')!r}; expected 'refinement'"
        )
    weights = state.weights
    if len(weights["trust.clean_since"]) != len(trust.clean_since):
        raise InputError(
            f"the state to resume from has {len(weights['trust.clean_since'])} samples, the data has "
            f"{len(trust.clean_since)}; resume with the same data, or start anew"
        )
    trust.pseudo_labels.copy_(weights["trust.pseudo_labels"])
    trust.clean_since.copy_(weights["trust.clean_since"])
    for name, member in zip(("first", "second"), members, strict=True):
        member.confidence.copy_(weights[f"{name}.confidence"])
        member.opinion.copy_(weights[f"{name}.opinion"])
        member.network.load_state_dict(state.under(f"{name}.network"))
        load_optimizer(member.optimizer, state.under(f"{name}.optimizer"))
    return [Epoch(**record) for record in state.config["history"]]
