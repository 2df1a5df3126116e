#!/bin/bash
# Becomes process 1 of a machine: machine.sh DIRECTORY [TARBALL], in new namespaces. Its files are
# the host's, or those of the tarball. Prints its process id as the host sees it and waits for a line of standard input before it boots: meanwhile
# DIRECTORY/root, as this process sees it, may be changed.
set -eu
dir=$1 tarball=${2:-}
read -r self _ </proc/self/stat # still the host's /proc

# Nothing of ours reaches the host.
mount --make-rprivate /
mount -t tmpfs -o mode=755 machine "$dir"
root=$dir/root
mkdir "$dir"/{upper,work,root}
lower=/
if [ -n "$tarball" ]; then
    lower=$dir/lower
    mkdir "$lower"
    tar -C "$lower" -xpf "$tarball" --xattrs --xattrs-include='*' --numeric-owner
fi
mount -t overlay -o "lowerdir=$lower,upperdir=$dir/upper,workdir=$dir/work" machine "$root"
cd "$root"

# The kernel is the host's: of its settings only those of our own network may be changed.
mount -t proc -o nosuid,nodev,noexec proc proc
mount --bind proc/sys/net proc/sys/net
mount --rbind proc/sys proc/sys
mount -o remount,bind,ro proc/sys
mount -t sysfs -o ro,nosuid,nodev,noexec sysfs sys
mount -t cgroup2 -o nosuid,nodev,noexec cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=755,nosuid,nodev tmpfs run
mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs tmp
mount -t tmpfs -o mode=755,nosuid tmpfs dev
for node in null zero full random urandom tty; do
    : >"dev/$node"
    mount --bind "/dev/$node" "dev/$node"
done
mkdir dev/shm dev/pts
mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs dev/shm
mount -t devpts -o newinstance,ptmxmode=666,nosuid,noexec devpts dev/pts
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd

# Of what the system's packages would start only this: the journal, users, files. What the
# host enabled is in /etc/systemd/system, which is empty here.
mount -t tmpfs -o mode=755 tmpfs etc/systemd/system
units=etc/systemd/system
for wish in {usr/,}lib/systemd/system/*.{wants,requires,upholds}/*; do
    unit=${wish##*/}
    case $unit in
    systemd-journald-audit.socket) ln -sfn /dev/null "$units/$unit" ;; # the kernel's audit is the host's
    \* | *.target | systemd-journal* | systemd-tmpfiles-setup.service | systemd-sysusers.service) ;;
    *) ln -sfn /dev/null "$units/$unit" ;;
    esac
done
printf '[Unit]\nDescription=A test\nRequires=basic.target multi-user.target\nAfter=basic.target multi-user.target\nAllowIsolate=yes\n' \
    >$units/machine.target
: >etc/machine-id # a machine of its own
rm -f usr/sbin/policy-rc.d

echo "$self"
read -r _
mkdir -p mnt/host
pivot_root . mnt/host
umount -l /mnt/host
mount --make-rshared / # as systemd has it where it is not in a container
exec env -i container=machine PATH=/usr/sbin:/usr/bin:/sbin:/bin \
    /lib/systemd/systemd --system --unit=machine.target --show-status=no --log-target=journal
