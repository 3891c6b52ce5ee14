#include "sha256.hpp"

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <fstream>
#include <stdexcept>

namespace {

constexpr std::size_t kBlock = 64, kRounds = 64, kLengthBytes = 8;
using State = std::array<std::uint32_t, 8>;
using Block = std::array<unsigned char, kBlock>;

// The first 32 bits of the fraction of a root, which is what the standard's constants are.
std::uint32_t fraction(long double root) {
  return static_cast<std::uint32_t>((root - std::floor(root)) * 4294967296.0L);
}

struct Constants {
  State begin{};
  std::array<std::uint32_t, kRounds> rounds{};

  Constants() {
    std::size_t found = 0;
    for (unsigned number = 2; found < kRounds; ++number) {
      bool prime = true;
      for (unsigned other = 2; other * other <= number; ++other) prime = prime && number % other != 0;
      if (!prime) continue;
      if (found < begin.size()) begin[found] = fraction(std::sqrt(static_cast<long double>(number)));
      rounds[found++] = fraction(std::cbrt(static_cast<long double>(number)));
    }
  }
};

std::uint32_t turned(std::uint32_t value, unsigned bits) { return value >> bits | value << (32 - bits); }

void add(State& state, const Block& block, const Constants& constants) {
  std::array<std::uint32_t, kRounds> words{};
  for (std::size_t i = 0; i < kBlock; ++i) words[i / 4] = words[i / 4] << 8 | block[i];
  for (std::size_t i = 16; i < kRounds; ++i) {
    const std::uint32_t old = words[i - 15], late = words[i - 2];
    words[i] = words[i - 16] + (turned(old, 7) ^ turned(old, 18) ^ old >> 3) + words[i - 7] +
               (turned(late, 17) ^ turned(late, 19) ^ late >> 10);
  }
  auto [a, b, c, d, e, f, g, h] = state;
  for (std::size_t i = 0; i < kRounds; ++i) {
    const std::uint32_t one = h + (turned(e, 6) ^ turned(e, 11) ^ turned(e, 25)) + ((e & f) ^ (~e & g)) +
                              constants.rounds[i] + words[i];
    const std::uint32_t two = (turned(a, 2) ^ turned(a, 13) ^ turned(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
    h = g, g = f, f = e, e = d + one, d = c, c = b, b = a, a = one + two;
  }
  const State changed = {a, b, c, d, e, f, g, h};
  for (std::size_t i = 0; i < state.size(); ++i) state[i] += changed[i];
}

std::string in_digits(const State& state) {
  std::string digits;
  for (const std::uint32_t word : state) {
    for (int shift = 28; shift >= 0; shift -= 4) digits += "0123456789abcdef"[word >> shift & 15];
  }
  return digits;
}

}  // namespace

std::string sha256_of(const std::string& path) {
  static const Constants constants;
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error("cannot read " + path);
  State state = constants.begin;
  Block block{};
  std::uint64_t bytes = 0;
  std::size_t count = kBlock;
  while (count == kBlock) {
    block.fill(0);
    file.read(reinterpret_cast<char*>(block.data()), kBlock);
    count = static_cast<std::size_t>(file.gcount());
    bytes += count;
    if (count == kBlock) add(state, block, constants);
  }
  // After the last byte come a bit that is set, zeros, and the length in bits at the end of a block.
  block[count] = 0x80;
  if (count >= kBlock - kLengthBytes) {
    add(state, block, constants);
    block.fill(0);
  }
  for (std::size_t i = 0; i < kLengthBytes; ++i) {
    block[kBlock - 1 - i] = static_cast<unsigned char>(bytes * 8 >> 8 * i & 255);
  }
  add(state, block, constants);
  return in_digits(state);
}
