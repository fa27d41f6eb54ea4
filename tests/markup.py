"""HTML as tests look at it."""

from html.parser import HTMLParser

VOID = {"meta", "img", "input"}


class Parsed(HTMLParser):
    """Well-formed HTML, or an AssertionError: every tag that is opened must be closed in turn.

    tags: (name, attributes), in their order; texts: (name of the tag, text directly within it);
    tables: of each table its rows of cells' texts.
    """

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.texts, self.tables = [], [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append((tag, len(self.texts)))
            self.texts.append((tag, ""))
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("th", "td"):
            self.tables[-1][-1].append("")

    def handle_endtag(self, tag):
        assert self.open.pop()[0] == tag

    def handle_data(self, data):
        if not self.open:
            return
        tag, place = self.open[-1]
        self.texts[place] = (tag, self.texts[place][1] + data)
        if tag in ("th", "td"):
            self.tables[-1][-1][-1] += data

    def all(self, name):
        """The attributes of every tag of that name."""
        return [attributes for tag, attributes in self.tags if tag == name]

    def text_of(self, name):
        """The text directly within every tag of that name."""
        return [text for tag, text in self.texts if tag == name]
