// Package packages tests what `make package` built, where it is meant to be
// installed: in a Debian 12 that mmdebstrap has just made, with its systemd booted
// (test/boot), by apt and by rpm.
//
// Its tests have the build tag packages and take the directory of the packages from
// NDP_DIST: `make packages`. They need Debian's mirror (DEBIAN_MIRROR names another
// one), and fail without it, as all lanes do that install packages.
package packages
