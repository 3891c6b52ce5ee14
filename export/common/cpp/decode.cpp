// Image files other than PPM and PGM, by stb_image.h where CMake found it (public domain; Debian:
// libstb-dev).
#include <memory>
#include <stdexcept>

#include "image.hpp"

#ifdef HAVE_STB_IMAGE

#define STB_IMAGE_IMPLEMENTATION
#include <stb_image.h>

Image decoded(const std::string& path) {
  int width = 0, height = 0, kept = 0;
  if (stbi_info(path.c_str(), &width, &height, &kept) == 0) {
    throw std::runtime_error(path + " is no image: " + stbi_failure_reason());
  }
  // What is transparent in an image is seen as if it were not.
  const int channels = kept >= 3 ? 3 : 1;
  const std::unique_ptr<stbi_uc, void (*)(void*)> pixels(
      stbi_load(path.c_str(), &width, &height, &kept, channels), stbi_image_free);
  if (pixels == nullptr) throw std::runtime_error(path + " is damaged: " + stbi_failure_reason());
  Image image(width, height, channels);
  image.pixels.assign(pixels.get(), pixels.get() + image.pixels.size());
  return image;
}

#else

Image decoded(const std::string& path) {
  throw std::runtime_error(path + " is no PPM or PGM file (P6 or P5); README.md says how to make one");
}

#endif
