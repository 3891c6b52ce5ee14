"""The few calls of CUDA that engines need, through ctypes: memory, events, graphs, what the GPU is."""

import contextlib
import ctypes
import glob

from hwt_refused import Refused

_MAJOR, _MINOR = 75, 76
_RELAXED = 2


class Cuda:
    """A stream, two events, a graph and the memory that was asked for; freed with this object."""

    def __init__(self):
        self._held, self._graph, self.stream = [], ctypes.c_void_p(), ctypes.c_void_p()
        self._begin, self._end = ctypes.c_void_p(), ctypes.c_void_p()
        self._library = cuda_library()
        self._call("cudaStreamCreate", ctypes.byref(self.stream))
        for event in (self._begin, self._end):
            self._call("cudaEventCreate", ctypes.byref(event))

    def allocate(self, size):
        """Memory on the GPU."""
        pointer = ctypes.c_void_p()
        self._call("cudaMalloc", ctypes.byref(pointer), ctypes.c_size_t(max(1, size)))
        self._held.append(pointer)
        return pointer

    def free(self):
        """Gives back all memory, and the graph that works on it."""
        if self._graph:
            self._library.cudaGraphExecDestroy(self._graph)
            self._graph = ctypes.c_void_p()
        while self._held:
            self._library.cudaFree(self._held.pop())

    def upload(self, pointer, data):
        """Copies bytes to the GPU."""
        self._call("cudaMemcpy", pointer, ctypes.c_char_p(data), ctypes.c_size_t(len(data)), 1)

    def download(self, pointer, size):
        """Copies bytes from the GPU."""
        data = ctypes.create_string_buffer(size)
        self._call("cudaMemcpy", data, pointer, ctypes.c_size_t(size), 2)
        return data.raw

    def synchronize(self):
        """Waits for everything that was started."""
        self._call("cudaStreamSynchronize", self.stream)

    def timed(self, launch):
        """Time in ms between two events around a launch."""
        elapsed_ms = ctypes.c_float()
        self._call("cudaEventRecord", self._begin, self.stream)
        launch()
        self._call("cudaEventRecord", self._end, self.stream)
        self._call("cudaEventSynchronize", self._end)
        self._call("cudaEventElapsedTime", ctypes.byref(elapsed_ms), self._begin, self._end)
        return elapsed_ms.value

    def captured(self, launch):
        """A function that replays the launch as a CUDA graph, or None where that cannot be."""
        graph = ctypes.c_void_p()
        try:
            self._call("cudaStreamBeginCapture", self.stream, _RELAXED)
            launch()
            self._call("cudaStreamEndCapture", self.stream, ctypes.byref(graph))
            self._call(
                "cudaGraphInstantiateWithFlags", ctypes.byref(self._graph), graph, ctypes.c_ulonglong(0)
            )
        except (Refused, AttributeError):
            # Whatever was recorded so far is dropped, and the stream works as before.
            self._library.cudaStreamEndCapture(self.stream, ctypes.byref(graph))
            return None
        finally:
            if graph:
                self._library.cudaGraphDestroy(graph)
        return lambda: self._call("cudaGraphLaunch", self._graph, self.stream)

    def __del__(self):
        self.free()
        for event in (self._begin, self._end):
            if event:
                self._library.cudaEventDestroy(event)
        if self.stream:
            self._library.cudaStreamDestroy(self.stream)

    def _call(self, name, *arguments):
        code = getattr(self._library, name)(*arguments)
        if code:
            raise Refused("failed", f"{name} failed with CUDA error {code}", "look at dmesg on the board")


def cuda_library():
    """The CUDA runtime library."""
    names = ["libcudart.so", *("libcudart.so." + version for version in ("13", "12", "11.0", "10.2"))]
    for name in names + sorted(glob.glob("/usr/local/cuda*/lib64/libcudart.so*")):
        with contextlib.suppress(OSError):
            return ctypes.CDLL(name)
    raise Refused("runtime", "libcudart was not found", "install the CUDA runtime")


def gpu():
    """Name and compute capability ("8.7") of the first GPU, or None where no driver answers."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return None
    device, name = ctypes.c_int(), ctypes.create_string_buffer(256)
    numbers = [ctypes.c_int(), ctypes.c_int()]
    failed = (
        driver.cuInit(0)
        or driver.cuDeviceGet(ctypes.byref(device), 0)
        or driver.cuDeviceGetName(name, len(name), device)
        or driver.cuDeviceGetAttribute(ctypes.byref(numbers[0]), _MAJOR, device)
        or driver.cuDeviceGetAttribute(ctypes.byref(numbers[1]), _MINOR, device)
    )
    if failed:
        return None
    capability = f"{numbers[0].value}.{numbers[1].value}"
    return {"name": name.value.decode("utf-8", "replace"), "compute_capability": capability}
