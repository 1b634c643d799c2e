"""One family of errors; a message says what is wrong, where, and how to mend it."""


class BitlatheError(Exception):
    """Base of every error that a user can cause or fix; commands print it as one line."""


class FormatError(BitlatheError):
    """A file or a fixed-point format is not what it should be (damaged, foreign, out of range)."""


class UnsupportedLayer(BitlatheError):
    """A layer or operation has no exact integer form here."""


class ShapeError(BitlatheError):
    """A tensor does not have the required shape."""


class OverflowRisk(BitlatheError):
    """An accumulator could leave its range for some input."""


class CapacityError(BitlatheError):
    """A network, map or program is larger than the store or window that must hold it."""


class DataError(BitlatheError):
    """A data set or checkpoint is missing, damaged or of another network."""


class MissingData(DataError):
    """The data set is absent or damaged."""


class ToolError(BitlatheError):
    """A tool is missing or failed."""
