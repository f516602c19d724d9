import io
import zipfile

import pytest

from beampipe.execution.encoding import needs_pickle, read_value, write_value


class Archive:
    """One value in an archive in memory."""

    def __init__(self, value, prefix="value"):
        self.stream = io.BytesIO()
        self.prefix = prefix
        with zipfile.ZipFile(self.stream, "w") as archive:
            write_value(archive, prefix, value)

    def read(self, *, trust=False):
        with zipfile.ZipFile(self.stream) as archive:
            return read_value(archive, self.prefix, trust=trust)

    @property
    def is_open(self):
        with zipfile.ZipFile(self.stream) as archive:
            return not needs_pickle(archive, self.prefix)

    def replace(self, old, new):
        """Change the tree and nothing else, checksums included."""
        members = {name: self.member(name) for name in self.members()}
        assert old.encode() in members[f"{self.prefix}/value.json"]
        self.stream = io.BytesIO()
        with zipfile.ZipFile(self.stream, "w") as archive:
            for name, data in members.items():
                is_tree = name.endswith("value.json")
                archive.writestr(
                    name, data.replace(old.encode(), new.encode()) if is_tree else data
                )

    @property
    def data(self):
        return self.stream.getvalue()

    def members(self):
        with zipfile.ZipFile(self.stream) as archive:
            return {info.filename: info for info in archive.infolist()}

    def member(self, name):
        with zipfile.ZipFile(self.stream) as archive:
            return archive.read(name)


@pytest.fixture
def store():
    """Write a value and return the archive that holds it."""
    return Archive


@pytest.fixture
def round_trip():
    """Write a value in open formats and read it back."""

    def there_and_back(value):
        archive = Archive(value)
        assert archive.is_open, archive.member("value/value.json")
        return archive.read()

    return there_and_back
