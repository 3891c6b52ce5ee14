// SHA-256 of a file (FIPS 180-4), the hash that model.json names a model by.
#pragma once

#include <string>

// 64 hexadecimal digits. Throws std::runtime_error with one line if the file cannot be read.
std::string sha256_of(const std::string& path);
