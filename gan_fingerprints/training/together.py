"""What the workers of one run say to each other: settings, state, when to stop."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np
from blake3 import blake3

from gan_fingerprints.cluster import Cluster
from gan_fingerprints.program import UserError

if TYPE_CHECKING:
    import tensorflow as tf

LETTERS = 2**14  # that are said at once
KEPT: list[Any] = []  # to the end of the process: a strategy that is given up waits for the others


def strategy_of(cluster: Cluster) -> tf.distribute.Strategy:
    """Joins the other workers, for which it waits; nothing of TensorFlow may have run before."""
    import tensorflow as tf

    others = [cluster.name(i) for i in range(len(cluster.addresses)) if i != cluster.index]
    print(f"{cluster.name(cluster.index)}: waiting for {', '.join(others)}", flush=True)
    # While TensorFlow waits, Python's own handlers do not run: Ctrl-C ends the process at once.
    handlers = {x: signal.signal(x, signal.SIG_DFL) for x in (signal.SIGINT, signal.SIGTERM)}
    try:
        KEPT.append(tf.distribute.MultiWorkerMirroredStrategy())
        return KEPT[-1]
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


class Workers:
    """The workers of a run; each method is called by all of them, in the same order.

    Args:
        cluster: None for a run of one worker, where nothing is said to anyone.
        strategy: the one they train under.

    Attributes:
        chief: whether this is the one that writes.
    """

    def __init__(self, cluster: Cluster | None, strategy: Any) -> None:
        self.cluster, self.strategy = cluster, strategy
        self.chief = cluster is None or cluster.chief
        self._sum: Callable | None = None

    def gather(self, value: Any) -> list[Any]:
        """Every worker's value, anything that JSON holds, in the workers' order."""
        if self.cluster is None:
            return [value]
        number, index = len(self.cluster.addresses), self.cluster.index
        text, heard = json.dumps(value).encode(), [b""] * number
        while True:
            # Always of one shape, as TensorFlow traces a function anew for another.
            said = np.zeros([number, 1 + LETTERS], np.int64)
            part = np.frombuffer(text[len(heard[index]) :][:LETTERS], np.uint8)
            said[index, 0] = len(text)
            said[index, 1 : 1 + len(part)] = part
            sums = self._total(said)
            heard = [
                (before + row[1:].astype(np.uint8).tobytes())[: row[0]]
                for before, row in zip(heard, sums, strict=True)
            ]
            if all(len(x) == row[0] for x, row in zip(heard, sums, strict=True)):
                break
        self.settle()
        return [json.loads(x) for x in heard]

    def any(self, flag: bool) -> bool:
        """Whether it is so on any worker."""
        return flag if self.cluster is None else bool(self._total(np.array([int(flag)]))[0])

    def settle(self) -> None:
        """Waits until every worker has come here, or has ended; none may end before that.

        Else those who were still listening to it would take it for lost.
        """
        if self.cluster is None:
            return
        import tensorflow as tf

        with suppress(tf.errors.OpError):
            self.any(False)

    def from_chief(self, act: Callable[[], Any]) -> Any:
        """What `act`, which the chief alone does, gives there: anything that JSON holds.

        Raises:
            UserError: there, and so on all of them.
        """
        if self.cluster is None:
            return act()
        value, refusal = None, None
        if self.chief:
            try:
                value = act()
            except UserError as error:
                refusal = str(error)
        value, refusal = self.gather([value, refusal])[0]
        if refusal:
            said = "" if self.chief else f"{self.cluster.name(0)}, the chief, says: "
            raise UserError(said + refusal)
        return value

    def share(self, variables: Sequence[tf.Variable]) -> None:
        """Gives variables, the same ones on all workers, the chief's values, bit for bit."""
        if self.cluster is None:
            return
        import tensorflow as tf

        # All but the chief add -0.0, the one number that changes no bit of another's.
        own = [tf.convert_to_tensor(v) for v in variables]
        own = own if self.chief else [-tf.zeros_like(x) for x in own]
        for variable, value in zip(variables, self._sums(own), strict=True):
            variable.assign(value)

    def _total(self, value: np.ndarray) -> np.ndarray:
        import tensorflow as tf

        return self._sums([tf.constant(value, tf.int64)])[0].numpy()

    def _sums(self, tensors: list[tf.Tensor]) -> list[tf.Tensor]:
        """The sum of each tensor over the workers."""
        import tensorflow as tf

        assert self.cluster is not None
        devices = self.strategy.num_replicas_in_sync // len(self.cluster.addresses)  # of each

        def spoken(*parts: tf.Tensor) -> list[tf.Tensor]:
            context = tf.distribute.get_replica_context()
            place = tf.convert_to_tensor(context.replica_id_in_sync_group, tf.int32)
            first = tf.equal(place % devices, 0)  # one replica speaks for its worker
            # Not all kinds of integers are summed on all devices.
            wide = [tf.cast(x, tf.int64) if x.dtype.is_integer else x for x in parts]
            sums: dict[int, tf.Tensor] = {}
            for kind in {x.dtype: None for x in wide}:  # what is summed at once is of one kind
                places = [i for i, x in enumerate(wide) if x.dtype == kind]
                own = [tf.where(first, wide[i], -tf.zeros_like(wide[i])) for i in places]
                sums |= zip(places, context.all_reduce("SUM", own), strict=True)
            return [sums[i] for i in range(len(wide))]

        if self._sum is None:

            def total(parts: list[tf.Tensor]) -> list[tf.Tensor]:
                sums = self.strategy.run(spoken, parts)
                sums = [self.strategy.experimental_local_results(x)[0] for x in sums]
                return [tf.cast(x, part.dtype) for x, part in zip(sums, parts, strict=True)]

            self._sum = tf.function(total)
        return self._sum(tensors)


def digest_of(state: Mapping[str, Sequence[tf.Variable]]) -> str:
    """BLAKE3 of the values of all variables."""
    import tensorflow as tf

    sums = blake3()
    for part in state.values():
        for variable in part:
            sums.update(np.ascontiguousarray(tf.convert_to_tensor(variable).numpy()).tobytes())
    return sums.hexdigest()


ALONE = Workers(None, None)
