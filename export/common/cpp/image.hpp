// Images: files (PPM and PGM, P6 and P5 in 8 bits, and what decode.cpp can), scaling as Pillow does it, and
// the network's input.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "model.hpp"

struct Image {
  int width = 0, height = 0, channels = 0;
  std::vector<std::uint8_t> pixels;  // row by row, a pixel's channels side by side

  Image(int columns, int rows, int count);
  std::uint8_t* at(int x, int y) { return pixels.data() + offset(x, y); }
  const std::uint8_t* at(int x, int y) const { return pixels.data() + offset(x, y); }

 private:
  std::size_t offset(int x, int y) const;
};

// Reads a file as an image of 1 (grey) or 3 (red, green, blue) channels.
// Throws std::runtime_error with one line if it is missing, damaged or another kind of file.
Image read_image(const std::string& path, int channels);

// Reads a file that is neither PPM nor PGM, in its own number of channels (1 or 3).
// Throws std::runtime_error with one line if this program cannot.
Image decoded(const std::string& path);

// Writes one channel as PGM. Throws std::runtime_error with one line if it cannot.
void write_pgm(const std::string& path, const Image& image);

// A part of an image (left, top, right, bottom in pixels, fractions allowed) in another size: the mean of the
// pixels under each new one, weighted by a triangle that is two new pixels wide, at least two old ones.
Image resized(const Image& image, const std::array<double, 4>& part, int width, int height);

// Height, width and channels of the network's input.
struct InputSize {
  int height, width, channels;
};
InputSize input_size(const Model& model);

// (pixel / 255 - mean) / std, channel by channel. The image must have the input's size.
std::vector<float> prepared(const Image& image, const Model& model);
