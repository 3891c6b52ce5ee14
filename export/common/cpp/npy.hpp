// Arrays of floats in .npy files, as NumPy writes them: little-endian float32, C order.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

struct Array {
  std::vector<std::size_t> shape;
  std::vector<float> values;

  // The first dimension: how many images, and how many values one of them has.
  std::size_t images() const { return shape.empty() ? 0 : shape[0]; }
  std::size_t each() const { return images() == 0 ? 0 : values.size() / images(); }
};

// Throws std::runtime_error with one line if the file is missing, damaged or holds something else.
Array read_npy(const std::string& path);

// Throws std::runtime_error with one line if the file cannot be written; no part of it is left then.
void write_npy(const std::string& path, const Array& array);
