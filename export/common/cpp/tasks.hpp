// How each task reads an image and what it makes of the outputs; all print one line an image.
#pragma once

#include <string>

#include "model.hpp"
#include "network.hpp"
#include "options.hpp"

// The most likely classes.
void classify(Network& network, const Model& model, const std::string& path, const Options& options);

// The class of every pixel, written beside the image as PGM.
void segment(Network& network, const Model& model, const std::string& path, const Options& options);

// The joints of the person in a box.
void find_joints(Network& network, const Model& model, const std::string& path, const Options& options);
