// Reads a .npy and writes it again: the reader and the writer of the runner, for tests.
#include <cstdio>
#include <exception>

#include "npy.hpp"

int main(int, char** arguments) {
  try {
    write_npy(arguments[2], read_npy(arguments[1]));
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return 1;
  }
}
