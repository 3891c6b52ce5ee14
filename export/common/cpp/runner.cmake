# The runner itself; the runtime's own CMakeLists.txt includes this and adds what network.cpp needs.
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release)
endif()

add_executable(runner
  main.cpp options.cpp model.cpp whole.cpp npy.cpp image.cpp decode.cpp network.cpp
  check.cpp benchmark.cpp predict.cpp classification.cpp segmentation.cpp keypoints.cpp)
target_compile_features(runner PRIVATE cxx_std_17)
target_compile_options(runner PRIVATE -Wall -Wextra -Wpedantic -Wconversion -Wshadow)

find_path(STB_INCLUDE_DIR stb_image.h PATH_SUFFIXES stb)
if(STB_INCLUDE_DIR)
  target_compile_definitions(runner PRIVATE HAVE_STB_IMAGE)
  target_include_directories(runner SYSTEM PRIVATE "${STB_INCLUDE_DIR}")
else()
  message(STATUS "stb_image.h was not found (apt install libstb-dev): images must be PPM or PGM files")
endif()
