"""The error tree: one root, one branch per room, leaves with stable codes.

A test pickles every class there and back. What they have in common: `beampipe.error_root`.
"""

from __future__ import annotations

from beampipe.error_root import ERRORS_PAGE as ERRORS_PAGE
from beampipe.error_root import BeampipeError as BeampipeError
from beampipe.error_root import join_fixes as join_fixes

# -- settings ---------------------------------------------------------------


class SettingsError(BeampipeError):
    """Something people wrote in a settings file or variable cannot be used."""

    code = "settings-invalid"


# -- clusters ---------------------------------------------------------------


class ClusterError(BeampipeError):
    """Branch of the room ``clusters``: sites, providers, clusters."""

    code = "cluster"


class SiteUnknownError(ClusterError, KeyError):
    """No profile has this name; names the closest."""

    code = "site-unknown"

    __str__ = BeampipeError.__str__


class SiteInvalidError(ClusterError, ValueError):
    """Something in a site profile cannot be used; names file and line."""

    code = "site-invalid"


class SiteFoldersError(ClusterError, ValueError):
    """Workers of a site do not see what they would need: it lies where only the client looks."""

    code = "site-folders"


class ProviderError(ClusterError, LookupError):
    """A kind of cluster, or a batch system, that is not there."""

    code = "cluster-provider"


class ClusterStartError(ClusterError, RuntimeError):
    """A cluster cannot be started."""

    code = "cluster-start"


class JobsFailError(ClusterError, RuntimeError):
    """Worker jobs are refused, or fail early, in the same way, again and again."""

    code = "cluster-jobs-fail"


class EnvironmentPackError(ClusterError, RuntimeError):
    """The environment of this process cannot be packed for workers that have none."""

    code = "environment-pack"


class ClusterNameError(ClusterError, ValueError):
    """Something cannot be the name of a cluster."""

    code = "cluster-name"


class ClusterUnknownError(ClusterError, LookupError):
    """No named cluster, or none of this name."""

    code = "cluster-unknown"


class ClusterAmbiguousError(ClusterError, LookupError):
    """Several named clusters are there, and none was named."""

    code = "cluster-ambiguous"


class ClusterExistsError(ClusterError, FileExistsError):
    """A cluster of this name is there already."""

    code = "cluster-exists"


class ClusterGoneError(ClusterError, ConnectionError):
    """A named cluster does not answer: its controller died, or cannot be reached."""

    code = "cluster-gone"


class GatewayUnreachableError(ClusterError, ConnectionError):
    """Nobody answers at a gateway's address, or its scheduler proxy lets nobody through."""

    code = "gateway-unreachable"


class GatewayAnswerError(ClusterError, ValueError):
    """What answers at a gateway's address is no gateway, or is one that has failed."""

    code = "gateway-answer"


class GatewayAccessError(ClusterError, PermissionError):
    """A gateway does not take the name, password or token that it was shown."""

    code = "gateway-access"


class GatewayOptionError(ClusterError, ValueError):
    """A gateway does not offer an option, or does not take its value."""

    code = "gateway-option"


class GatewayLimitError(ClusterError, RuntimeError):
    """A gateway allows no further cluster to this user; `why` is its own words."""

    code = "gateway-limit"


class GatewayStartError(ClusterError, RuntimeError):
    """A gateway took a cluster, and it did not start."""

    code = "gateway-start"


# -- batch ------------------------------------------------------------------


class BatchError(BeampipeError):
    """Branch of the room ``batch``: what batch systems are told, and what they answer."""

    code = "batch"


class BatchJobError(BatchError, ValueError):
    """A job cannot be put into a batch system's language."""

    code = "batch-job"


class BatchRefusedError(BatchError, RuntimeError):
    """The batch system did not take a job; `why` is its own words."""

    code = "batch-refused"


class BatchOutputError(BatchError, ValueError):
    """A batch system's command printed what it should not."""

    code = "batch-output"


# -- environments -----------------------------------------------------------


class CredentialError(BeampipeError):
    """Branch of the room ``environments``: proxies, certificates, keys and tokens."""

    code = "credential"


class CredentialMissingError(CredentialError, FileNotFoundError):
    """There is no proxy, certificate, key or token where it was looked for."""

    code = "credential-missing"


class CredentialInvalidError(CredentialError, ValueError):
    """What is in the file is no such credential, or its parts do not belong together."""

    code = "credential-invalid"


class CredentialUnsafeError(CredentialError, PermissionError):
    """Others can read a secret, or it is somebody else's."""

    code = "credential-unsafe"


class CredentialExpiredError(CredentialError, ValueError):
    """A proxy, certificate or token is over, not valid yet, or ends too early."""

    code = "credential-expired"


class CredentialPassphraseError(CredentialError, ValueError):
    """A passphrase is needed, or is not the right one."""

    code = "credential-passphrase"


class CredentialExistsError(CredentialError, FileExistsError):
    """A certificate or key is there already, and is not written over."""

    code = "credential-exists"


class CredentialStorageError(CredentialError, OSError):
    """A proxy, certificate or key cannot be written."""

    code = "credential-storage"


# -- datasets ---------------------------------------------------------------


class DatasetError(BeampipeError):
    """Branch of the room ``datasets``: filesets, files, planning."""

    code = "dataset"


class FilesetFormError(DatasetError, ValueError):
    """The fileset is in no form that Beampipe or coffea knows."""

    code = "dataset-fileset-form"


class FilesetFileError(DatasetError, ValueError):
    """A fileset file cannot be parsed; names line and column."""

    code = "dataset-fileset-file"


class NoFilesError(DatasetError, FileNotFoundError):
    """A glob, directory or list names no ROOT file."""

    code = "dataset-no-files"


class FileMissingError(DatasetError, FileNotFoundError):
    """A file does not exist or cannot be reached."""

    code = "dataset-file-missing"


class FileAccessError(DatasetError, PermissionError):
    """A file exists and may not be read."""

    code = "dataset-file-access"


class NotRootError(DatasetError, ValueError):
    """A file is not a ROOT file."""

    code = "dataset-not-root"


class FileEmptyError(DatasetError, ValueError):
    """A file has no bytes."""

    code = "dataset-file-empty"


class FileTruncatedError(DatasetError, ValueError):
    """A ROOT file is shorter than its header says."""

    code = "dataset-file-truncated"


class FileUnreadableError(DatasetError, OSError):
    """A file is a ROOT file, but its contents cannot be read."""

    code = "dataset-file-unreadable"


class TreeNotFoundError(DatasetError, KeyError):
    """The named tree is not in the file; names those that are."""

    code = "dataset-tree-not-found"


class TreeAmbiguousError(DatasetError, ValueError):
    """Several trees, and none was named."""

    code = "dataset-tree-ambiguous"


class DuplicateFileError(DatasetError, ValueError):
    """The same file (by uuid) stands twice in one dataset."""

    code = "dataset-duplicate-file"


class NoEventsError(DatasetError, ValueError):
    """The whole fileset holds no event."""

    code = "dataset-no-events"


class FileMismatchError(DatasetError, ValueError):
    """A file is not what the fileset says of it: uuid, entries or steps."""

    code = "dataset-file-mismatch"


class PlanArgumentError(DatasetError, ValueError):
    """A chunk size or limit makes no plan."""

    code = "dataset-plan-argument"


class PlanFormatError(DatasetError, ValueError):
    """A stored plan is in a format that this version does not know."""

    code = "dataset-plan-format"


class SampleError(DatasetError, ValueError):
    """Synthetic data cannot be made as asked."""

    code = "dataset-sample"


# -- reading ----------------------------------------------------------------


class ReadingError(BeampipeError):
    """Branch of the room ``reading``: a chunk's columns."""

    code = "reading"


class SchemaError(ReadingError, ValueError):
    """The schema is unknown or does not fit the file."""

    code = "reading-schema"


class FileChangedError(ReadingError, OSError):
    """The file under this name is not the one that was planned."""

    code = "reading-file-changed"


class ChunkUnreadableError(ReadingError, OSError):
    """A chunk's bytes cannot be fetched or decompressed."""

    code = "reading-chunk-unreadable"


class ChunkClosedError(ReadingError, ValueError):
    """A column was asked for after its chunk was closed."""

    code = "reading-chunk-closed"


class ColumnNotFoundError(ReadingError, AttributeError):
    """The processor asked for a column that the file does not have."""

    code = "reading-column-not-found"


# -- execution --------------------------------------------------------------


class ExecutionError(BeampipeError):
    """Branch of the room ``execution``: processors, runs, the ledger."""

    code = "execution"


class ProcessorLoadError(ExecutionError, ImportError):
    """The processor's file or module cannot be imported."""

    code = "processor-load"


class ProcessorNameError(ExecutionError, AttributeError):
    """The processor's file has no such name."""

    code = "processor-name"


class ProcessorKindError(ExecutionError, TypeError):
    """The object is neither a function of events nor a coffea processor."""

    code = "processor-kind"


class ProcessorParamsError(ExecutionError, TypeError):
    """The parameters do not fit the processor."""

    code = "processor-params"


class ProcessorPickleError(ExecutionError, TypeError):
    """The processor cannot be sent to workers."""

    code = "processor-pickle"


class ProcessorOutputError(ExecutionError, TypeError):
    """The processor returned nothing, or something that cannot be kept."""

    code = "processor-output"


class ProcessorFailedError(ExecutionError, RuntimeError):
    """The processor raised on a chunk."""

    code = "processor-failed"


class AccumulationError(ExecutionError, TypeError):
    """Two outputs cannot be added; names the key and the types."""

    code = "output-not-addable"


class ArgumentError(ExecutionError, TypeError):
    """An argument of ``run`` has no meaning or another name here."""

    code = "run-argument"


class RunDirectoryExistsError(ExecutionError, FileExistsError):
    """The run directory is there already."""

    code = "run-directory-exists"


class NotARunError(ExecutionError, ValueError):
    """The directory holds no run."""

    code = "run-not-found"


class RunFormatError(ExecutionError, ValueError):
    """The run was written in a format that this version does not know."""

    code = "run-format"


class RunHeldError(ExecutionError, RuntimeError):
    """Another driver is at work on this run."""

    code = "run-held"


class RunChangedError(ExecutionError, ValueError):
    """Code, versions, inputs or files are not what they were when the run began."""

    code = "run-changed"


class RunStorageError(ExecutionError, OSError):
    """The run directory cannot be written: full disk, no permission."""

    code = "run-storage"


class LedgerError(ExecutionError, ValueError):
    """The ledger contradicts itself."""

    code = "run-ledger"


class TrustError(ExecutionError, PermissionError):
    """Values that need pickle lie in a directory that is not the user's own."""

    code = "run-trust"


class RunStoppedError(ExecutionError, RuntimeError):
    """The run ended early on errors; what was done is committed."""

    code = "run-stopped"


class RunBudgetExceededError(ExecutionError, RuntimeError):
    """More of a dataset failed than `max_failed` allows; what was done is committed."""

    code = "run-budget-exceeded"


class RunInterruptedError(ExecutionError, KeyboardInterrupt):
    """The user interrupted the run; what was done is committed."""

    code = "run-interrupted"


class VersionMismatchError(ExecutionError, RuntimeError):
    """Workers or their scheduler have versions with which the run would break."""

    code = "run-versions-differ"


class PartialLostError(ExecutionError, RuntimeError):
    """A result on a worker is gone for good; its chunks are done again."""

    code = "run-partial-lost"


class WorkersLostError(ExecutionError, RuntimeError):
    """Workers or the scheduler went away and the run cannot go on."""

    code = "run-workers-lost"


class WorkerDiedError(ExecutionError, RuntimeError):
    """A chunk took down the worker that had it, also when nothing else ran there."""

    code = "run-worker-died"


# -- results ----------------------------------------------------------------


class ResultError(BeampipeError):
    """Branch of the room ``results``: plots, reports, exports."""

    code = "result"


class IncompleteDatasetError(ResultError, ValueError):
    """A normalisation was asked of a dataset that lacks events."""

    code = "result-incomplete-dataset"


class NormalisationError(ResultError, ValueError):
    """A normalisation lacks a number: a cross section, a sum of weights, a luminosity."""

    code = "result-normalisation"


class HistogramNotFoundError(ResultError, KeyError):
    """The output has no histogram of this name; names the closest."""

    code = "result-histogram-not-found"


class ResultStorageError(ResultError, OSError):
    """Plots or a report cannot be written."""

    code = "result-storage"


class ExportError(ResultError, ValueError):
    """A value cannot be written in the wanted format."""

    code = "result-export"


class VerificationError(ResultError, ValueError):
    """The segments do not prove the accounting."""

    code = "result-verification"
