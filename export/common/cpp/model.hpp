// What model.txt and labels.txt say of a network: model.json for programs without a JSON reader.
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <vector>

struct Model {
  std::string task, precision, input_name, output_name;
  std::vector<std::size_t> input_shape, output_shape;  // both begin with 1, the batch
  double tolerance = 0;                                // as a share of the largest output
  std::vector<std::string> classes;
  std::map<std::string, std::vector<double>> numbers;  // e.g. "mean", one value a channel

  // Numbers by name. Throws std::runtime_error if there are fewer than `count`.
  const std::vector<double>& at_least(const std::string& name, std::size_t count) const;
};

// Throws std::runtime_error with one line if a file is missing or damaged.
Model read_model(const std::string& folder);

std::size_t product(const std::vector<std::size_t>& shape);
