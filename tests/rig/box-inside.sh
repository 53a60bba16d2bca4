#!/bin/sh
# The half of box.sh that runs in the new namespaces: builds the root, then goes into it with a clean environment.
set -eu

box=$RIG_UPPER/box
mount -t overlay overlay -o "lowerdir=$RIG_ROOT,upperdir=$RIG_UPPER/up,workdir=$RIG_UPPER/work" "$box"
mkdir -p "$box/proc" "$box/sys" "$box/dev" "$box/run" "$box/tmp" "$box/etc/ssl/certs" "$box/usr/bin"
mount -t proc proc "$box/proc"
mount -t sysfs -o ro sysfs "$box/sys"
mount -t tmpfs -o mode=755 tmpfs "$box/dev"
for name in null zero full random urandom tty; do
	: >"$box/dev/$name"
	mount --bind "/dev/$name" "$box/dev/$name"
done
mkdir "$box/dev/pts" "$box/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666 devpts "$box/dev/pts"
ln -s pts/ptmx "$box/dev/ptmx"
ln -s /proc/self/fd "$box/dev/fd"
mount -t tmpfs -o mode=1777 tmpfs "$box/dev/shm"
mkdir -p "$RIG_UPPER/run"
mount --bind "$RIG_UPPER/run" "$box/run"
rm -f "$box/etc/resolv.conf"
cp -L /etc/resolv.conf "$box/etc/resolv.conf"
grep -v '^127\.' /etc/hosts | cat - >"$box/etc/hosts.box" && printf '127.0.0.1 localhost %s\n' "$(hostname)" >>"$box/etc/hosts.box"
mv "$box/etc/hosts.box" "$box/etc/hosts"
# Trust and index settings of the caller, so that pip works inside wherever it works outside.
if [ -f /etc/ssl/certs/ca-certificates.crt ]; then
	cp -L /etc/ssl/certs/ca-certificates.crt "$box/etc/ssl/certs/ca-certificates.crt"
fi
[ -f /etc/pip.conf ] && cp -L /etc/pip.conf "$box/etc/pip.conf"
if [ -n "$RIG_LIBS" ]; then
	mkdir -p "$box/opt/rig-libs"
	mount --bind "$RIG_LIBS" "$box/opt/rig-libs"
	: >"$box/opt/rig-dsagent"
	mount --bind "$RIG_BINARY_AT" "$box/opt/rig-dsagent"
	rm -f "$box/usr/bin/dsagent"
	printf '#!/bin/sh\nexec /opt/rig-libs/loader --library-path /opt/rig-libs /opt/rig-dsagent "$@"\n' >"$box/usr/bin/dsagent"
	chmod 755 "$box/usr/bin/dsagent"
elif [ -f "$RIG_BINARY_AT" ]; then
	: >"$box/usr/bin/dsagent"
	mount --bind "$RIG_BINARY_AT" "$box/usr/bin/dsagent"
fi
for pair in $RIG_BINDS; do
	from=${pair%%:*} to=$box${pair#*:}
	if [ -d "$from" ]; then
		mkdir -p "$to"
	else
		mkdir -p "$(dirname "$to")"
		: >"$to"
	fi
	mount --bind "$from" "$to"
done
# Only what the caller's network and trust need, and the seams, go in.
set -- "$@"
pass=
for name in http_proxy https_proxy no_proxy HTTP_PROXY HTTPS_PROXY NO_PROXY PIP_INDEX_URL PIP_EXTRA_INDEX_URL PIP_CERT \
	PIP_TRUSTED_HOST PIP_DEFAULT_TIMEOUT PIP_CACHE_DIR UV_INDEX_URL UV_DEFAULT_INDEX SSL_CERT_FILE \
	AWS_EC2_METADATA_SERVICE_ENDPOINT AWS_ENDPOINT_URL AWS_ENDPOINT_URL_EC2 AWS_ENDPOINT_URL_S3; do
	eval "value=\${$name-}"
	[ -z "$value" ] || pass="$pass $name=$value"
done
# shellcheck disable=SC2086  # none of these values holds a blank
exec chroot "$box" /usr/bin/env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root \
	LANG=C.UTF-8 TERM=dumb $pass "$@"
