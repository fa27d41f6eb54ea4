"""Whose images are whose: each browser has a session, which no other one sees."""

from __future__ import annotations

import asyncio
import secrets
import threading
import time
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

from gan_fingerprints.attribution.verdict import Attribution
from gan_fingerprints.page.desk import Desk, Found, Job, Slot
from gan_fingerprints.page.inbox import PrivateFolder
from gan_fingerprints.page.refusing import Refused

MOST_IMAGES = 5000  # of a session
MOST_WAITING, MOST_BYTES = 256, 2**30  # of all sessions: files that are not examined yet
MOST_BROUGHT, MOST_BROUGHT_BYTES = 5000, 2**30  # of a session: to be enrolled or audited
MOST_SESSIONS = 64
IDLE = 12 * 3600.0  # seconds after which a session may be forgotten
FORGOTTEN = 600.0  # the same where another one has no room


@dataclass(eq=False)
class Held:
    """An image of a session.

    Attributes:
        name: how it is called.
        slot: the model that it is examined with.
        found: None as long as it waits.
        pictures: files of what the exhibit shows, and captions; they are not kept in memory.
    """

    number: int
    name: PurePosixPath
    slot: Slot
    found: Found | None = None
    pictures: list[tuple[Path, str]] = field(default_factory=list)


@dataclass(frozen=True)
class Brought:
    """An image of a known source, which waits to be used."""

    file: Path
    name: PurePosixPath
    size: int


class Session:
    """The images of one browser, and what was found of them.

    Attributes:
        images: by their number.
        pools: verdicts on images of one origin, with the model of each.
        brought: images of known sources, by the numbers that are their files' names.
        own: models that were made in it.
        kept: files and names of other things that can be had, by a key.
    """

    def __init__(self, folder: PrivateFolder) -> None:
        self.key = secrets.token_urlsafe(32)
        self.folder = folder
        self.images: dict[int, Held] = {}
        self.pools: list[tuple[Attribution, Slot]] = []
        self.brought: dict[int, Brought] = {}
        self.own: list[Slot] = []
        self.kept: dict[str, tuple[Path, str]] = {}
        self.used = time.monotonic()
        self._lock = threading.Lock()
        self._number = 0
        self._log: list[int] = []  # the numbers of images, in the order of their changes
        self._listeners: set[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = set()

    def new(self, name: PurePosixPath, slot: Slot) -> Held:
        """A place for an image; Refused where there are too many."""
        with self._lock:
            if len(self.images) >= MOST_IMAGES:
                raise Refused(
                    409, f"this session has {MOST_IMAGES:,} images, the most there may be: "
                    "download the results, then remove them all"
                )  # fmt: skip
            self._number += 1
            self.images[self._number] = held = Held(self._number, name, slot)
            return held

    def remove(self, number: int) -> None:
        """Forgets an image."""
        with self._lock:
            held = self.images.pop(number, None)
        for path, _ in held.pictures if held else ():
            path.unlink(missing_ok=True)

    def brings(self, more: int) -> None:
        """Refused where more bytes of images of known sources would be too many."""
        before = sum(one.size for one in self.brought.values())
        if len(self.brought) >= MOST_BROUGHT or before + more > MOST_BROUGHT_BYTES:
            raise Refused(
                413, f"more than {MOST_BROUGHT:,} images, or {MOST_BROUGHT_BYTES >> 20} MiB, of "
                "known sources: bring fewer"
            )  # fmt: skip

    def clear(self) -> None:
        """Forgets all images and what was found of them."""
        for number in list(self.images):
            self.remove(number)
        self.pools = []
        self.wake()

    def end(self) -> None:
        """Forgets everything."""
        self.clear()
        made = [path for path, _ in self.kept.values()]
        for path in [*made, *(one.file for one in self.brought.values())]:
            path.unlink(missing_ok=True)
        self.own, self.kept, self.brought = [], {}, {}

    def keep(self, held: Held, found: Found) -> None:
        """Takes what was found of an image; its pictures go into files."""
        if held.number not in self.images:  # it was removed meanwhile
            return
        for content, caption in found.exhibit.pictures:
            path = self.folder.new()
            path.write_bytes(content)
            held.pictures.append((path, caption))
        with self._lock:  # both at once, or a listener could miss it
            held.found = replace(found, exhibit=replace(found.exhibit, pictures=()))
            self._log.append(held.number)
        self.wake()

    def done(self) -> list[Held]:
        """The images of which something was found, in the order in which they came."""
        with self._lock:
            return [held for held in self.images.values() if held.found]

    def since(self, place: int) -> tuple[int, list[Held], int]:
        """The next place in the log, what was found since this one, and how many images wait."""
        with self._lock:
            numbers = dict.fromkeys(self._log[place:])
            found = [self.images[x] for x in numbers if x in self.images]
            waiting = sum(held.found is None for held in self.images.values())
            return len(self._log), found, waiting

    def wake(self) -> None:
        """Tells those who listen that something changed; from any thread."""
        for loop, event in list(self._listeners):
            if not loop.is_closed():
                loop.call_soon_threadsafe(event.set)

    def listener(self) -> Listener:
        """What waits for changes."""
        return Listener(self, self._listeners)


class Listener:
    """`with` it, `wait` returns when something has changed since the last call, or in time."""

    def __init__(self, session: Session, listeners: set[Any]) -> None:
        self._event, self._listeners = asyncio.Event(), listeners
        self._entry = asyncio.get_running_loop(), self._event

    def __enter__(self) -> Listener:
        self._listeners.add(self._entry)
        return self

    def __exit__(self, *error: object) -> None:
        self._listeners.discard(self._entry)

    async def wait(self, seconds: float) -> None:
        """Until something changed, or for so long."""
        try:
            async with asyncio.timeout(seconds):
                await self._event.wait()
        except TimeoutError:
            return
        self._event.clear()


class Sessions:
    """All sessions of a page, and what they have in common."""

    def __init__(self, desk: Desk) -> None:
        self.desk, self.folder = desk, PrivateFolder()
        self.opened = 0
        self.auditing = asyncio.Semaphore(1)
        self._sessions: dict[str, Session] = {}
        self._bytes = 0
        self._lock = threading.Lock()
        desk.changed = self.wake

    def find(self, key: str) -> Session | None:
        """The session of a key."""
        session = self._sessions.get(key)
        if session:
            session.used = time.monotonic()
        return session

    def open(self) -> Session:
        """A new session; Refused where there are too many that are in use."""
        self._forget(IDLE)
        if len(self._sessions) >= MOST_SESSIONS:
            self._forget(FORGOTTEN)
        if len(self._sessions) >= MOST_SESSIONS:
            raise Refused(503, "too many people use this page: try again in some minutes", 60)
        session = Session(self.folder)
        self._sessions[session.key] = session
        self.opened += 1
        return session

    def end(self, session: Session) -> None:
        """Forgets a session with all its images."""
        self._sessions.pop(session.key, None)
        self.empty(session)
        session.end()

    def empty(self, session: Session) -> None:
        """Forgets all images of a session, also those that wait."""
        for job in self.desk.queue.drop(session):
            job.file.unlink(missing_ok=True)
            self._count(-job.size)
        session.clear()

    def _forget(self, idle: float) -> None:
        now = time.monotonic()
        for session in list(self._sessions.values()):
            if now - session.used > idle and not session.since(0)[2]:
                self.end(session)

    def room(self) -> None:
        """Refused where so much waits that more could not be kept, or nothing will be answered."""
        if self.desk.error:
            raise Refused(503, str(self.desk.error))
        if len(self.desk.queue) >= MOST_WAITING or self._bytes >= MOST_BYTES:
            raise Refused(503, "too many images wait: send it again in a few seconds", 2)

    def examine(self, owner: object, job: Job) -> None:
        """Has an image examined."""
        done = job.done

        def counted(found: Found) -> None:
            self._count(-job.size)
            done(found)

        job.done = counted
        self._count(job.size)
        self.desk.queue.put(owner, job)

    def _count(self, size: int) -> None:
        with self._lock:
            self._bytes += size

    def wake(self) -> None:
        """Tells all who listen that something changed."""
        for session in list(self._sessions.values()):
            session.wake()

    def close(self) -> None:
        """Ends all: nothing is left."""
        self.desk.close()
        self._sessions.clear()
        self.folder.remove()
