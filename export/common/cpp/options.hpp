// The command line.
#pragma once

#include <string>
#include <vector>

struct Options {
  std::string verb, folder;
  std::vector<std::string> images;
  std::string output;       // check: where the outputs go
  std::vector<double> box;  // predict, keypoints: left, top, width, height in pixels
  int threads = 1, runs = 1000, top = 1;
  bool json = false;
};

// Throws std::runtime_error with one line if it cannot be understood.
Options parse_options(int count, char** arguments);

extern const char* const kUsage;
