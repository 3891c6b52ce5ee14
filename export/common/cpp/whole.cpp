#include "whole.hpp"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <stdexcept>

void write_whole(const std::string& path, const std::string& data) {
  const std::string temporary = path + ".part";
  errno = 0;
  std::ofstream file(temporary, std::ios::binary);
  file.write(data.data(), static_cast<std::streamsize>(data.size()));
  file.close();
  if (file && std::rename(temporary.c_str(), path.c_str()) == 0) return;
  const int code = errno;
  std::remove(temporary.c_str());
  std::string reason = std::strerror(code);
  if (code == ENOSPC || code == EDQUOT || code == EFBIG) {
    reason += "; make room in " + std::filesystem::absolute(path).parent_path().string();
  }
  throw std::runtime_error("cannot write " + path + ": " + reason);
}
