// What the runner does; each returns the exit code and throws std::runtime_error with one line.
#pragma once

#include "model.hpp"
#include "network.hpp"
#include "options.hpp"

int predict(Network& network, const Model& model, const Options& options);
int check(Network& network, const Model& model, const Options& options);
int benchmark(Network& network, const Model& model, const Options& options);
