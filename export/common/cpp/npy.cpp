#include "npy.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <sstream>
#include <stdexcept>

#include "whole.hpp"

static_assert(sizeof(float) == 4, "float32 is read as it is");

namespace {

constexpr char kMagic[] = "\x93NUMPY";
constexpr std::size_t kMagicSize = 6, kAlignment = 64, kLargestHeader = 65536, kMostDimensions = 32;
constexpr std::size_t kLargestSide = std::size_t{1} << 31;

[[noreturn]] void damaged(const std::string& path, const std::string& reason) {
  throw std::runtime_error(path + " is damaged: " + reason);
}

std::string read_bytes(std::ifstream& file, std::size_t count, const std::string& path) {
  std::string bytes(count, '\0');
  if (!file.read(bytes.data(), static_cast<std::streamsize>(count))) damaged(path, "it ends too early");
  return bytes;
}

std::size_t little_endian(const std::string& bytes) {
  std::size_t value = 0;
  for (std::size_t i = bytes.size(); i-- > 0;) value = value << 8 | static_cast<unsigned char>(bytes[i]);
  return value;
}

// The text after "'key':" in a header like {'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }.
std::string entry(const std::string& header, const std::string& key, const std::string& path) {
  const std::string quoted = "'" + key + "':";
  const std::size_t found = header.find(quoted);
  if (found == std::string::npos) damaged(path, "its header has no " + key);
  const std::size_t begin = header.find_first_not_of(' ', found + quoted.size());
  if (begin == std::string::npos) damaged(path, "its header has no " + key);
  return header.substr(begin);
}

bool starts_with(const std::string& text, const std::string& beginning) {
  return text.compare(0, beginning.size(), beginning) == 0;
}

std::vector<std::size_t> shape_of(const std::string& text, const std::string& path) {
  const std::size_t end = text.find(')');
  if (text[0] != '(' || end == std::string::npos) damaged(path, "its shape cannot be read");
  std::vector<std::size_t> shape;
  bool inside = false;
  for (std::size_t i = 1; i < end; ++i) {
    const char letter = text[i];
    if (letter >= '0' && letter <= '9') {
      if (!inside) shape.push_back(0);
      inside = true;
      shape.back() = shape.back() * 10 + static_cast<std::size_t>(letter - '0');
      if (shape.back() > kLargestSide || shape.size() > kMostDimensions)
        damaged(path, "its shape is too large");
    } else if (letter == ',' || letter == ' ') {
      inside = false;
    } else {
      damaged(path, "its shape cannot be read");
    }
  }
  return shape;
}

// How many floats a shape has; more than `most` is damage.
std::size_t count_of(const std::vector<std::size_t>& shape, std::size_t most, const std::string& path) {
  if (std::find(shape.begin(), shape.end(), std::size_t{0}) != shape.end()) return 0;
  std::size_t count = 1;
  for (const std::size_t side : shape) {
    if (count > most / side) damaged(path, "it ends too early");
    count *= side;
  }
  return count;
}

std::string header_of(const Array& array) {
  std::string shape;
  for (const std::size_t size : array.shape) shape += std::to_string(size) + ", ";
  std::string header = "{'descr': '<f4', 'fortran_order': False, 'shape': (" + shape + "), }";
  const std::size_t used = kMagicSize + 4 + header.size() + 1;
  return header + std::string((kAlignment - used % kAlignment) % kAlignment, ' ') + '\n';
}

}  // namespace

Array read_npy(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error("cannot read " + path + ": " + std::strerror(errno));
  file.seekg(0, std::ios::end);
  const std::streamoff end = file.tellg();
  file.seekg(0);
  if (end < 0 || !file) throw std::runtime_error("cannot read " + path + ": it is not a file");
  const std::size_t size = static_cast<std::size_t>(end);

  const std::string start = read_bytes(file, kMagicSize + 2, path);
  if (start.compare(0, kMagicSize, kMagic, kMagicSize) != 0) damaged(path, "it is not a .npy file");
  const std::size_t length_bytes = start[kMagicSize] == 1 ? 2 : 4;
  const std::size_t length = little_endian(read_bytes(file, length_bytes, path));
  if (length > kLargestHeader) damaged(path, "its header is too long");
  const std::string header = read_bytes(file, length, path);
  if (!starts_with(entry(header, "descr", path), "'<f4'")) damaged(path, "it holds no float32");
  if (!starts_with(entry(header, "fortran_order", path), "False")) damaged(path, "it is not in C order");

  const std::size_t data = size - kMagicSize - 2 - length_bytes - length;
  Array array{shape_of(entry(header, "shape", path), path), {}};
  const std::size_t count = count_of(array.shape, data / sizeof(float), path);
  if (count * sizeof(float) != data) damaged(path, "it is longer than its shape says");
  array.values.resize(count);
  if (!file.read(reinterpret_cast<char*>(array.values.data()), static_cast<std::streamsize>(data))) {
    damaged(path, "it ends too early");
  }
  return array;
}

void write_npy(const std::string& path, const Array& array) {
  const std::string header = header_of(array);
  const unsigned length = static_cast<unsigned>(header.size());
  const char version_and_length[] = {1, 0, static_cast<char>(length & 255), static_cast<char>(length >> 8)};
  std::ostringstream file;
  file.write(kMagic, kMagicSize).write(version_and_length, sizeof version_and_length) << header;
  file.write(reinterpret_cast<const char*>(array.values.data()),
             static_cast<std::streamsize>(array.values.size() * sizeof(float)));
  write_whole(path, file.str());
}
