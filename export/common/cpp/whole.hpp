// Files that are whole or not there.
#pragma once

#include <string>

// Throws std::runtime_error with one line; what cannot be written in full is removed.
void write_whole(const std::string& path, const std::string& data);
