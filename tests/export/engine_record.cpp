// Prints the record of an engine for a model, or whether the file at the second path vouches for one.
#include "engine_record.hpp"

#include <cstdio>
#include <cstdlib>

#include "sha256.hpp"

int main(int count, char** arguments) {
  if (count != 6) return 2;
  const EngineRecord record = {sha256_of(arguments[1]), std::atoi(arguments[3]), arguments[4],
                               std::atoi(arguments[5]) / 10, std::atoi(arguments[5]) % 10};
  std::printf("%d\n%s", vouches(arguments[2], record), text_of(record).c_str());
}
