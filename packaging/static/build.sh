#!/bin/sh
# build.sh ARCH SOURCES DIR [tests]: musl and the libraries for ARCH (x86_64 or aarch64), from SOURCES into DIR/lib and
# DIR/include; DIR/bin/musl-gcc compiles against them. A library is built again only when its source, its function here, the
# flags or the compiler changed. No path of the machine gets into an object: bare compiler name, in-tree builds, /usr.
set -eu

arch=$1
here=$(cd "$(dirname "$0")" && pwd)
sources=$(cd "$2" && pwd)
mkdir -p "$3/done"
P=$(cd "$3" && pwd)
jobs=${STATIC_JOBS:-2}
cross=
[ "$arch" = "$(uname -m)" ] || cross=$arch-linux-gnu-
export LC_ALL=C TZ=UTC SOURCE_DATE_EPOCH=1700000000 PATH="$P/bin:$PATH"
# A stranger's pkg-config or flags have no say.
export PKG_CONFIG=false
unset CFLAGS CPPFLAGS LDFLAGS CC AR RANLIB MAKEFLAGS MFLAGS MAKELEVEL B V DESTDIR PREFIX || true
flags='-Os -g0 -fPIE -ffunction-sections -fdata-sections -fvisibility=hidden -fstack-protector-strong -fstack-clash-protection'

for tool in "${cross}gcc" "${cross}objcopy" make perl patch xz; do
	command -v "$tool" >/dev/null || { echo "dsagent: $tool is missing: the static program for $arch is made with it" >&2; exit 1; }
done
AR=${cross}ar
RANLIB=${cross}ranlib

configure() { # OPTION…
	CC=musl-gcc AR=$AR RANLIB=$RANLIB CFLAGS=$flags CPPFLAGS="-I$P/include" LDFLAGS="-L$P/lib" \
		./configure --host="$arch-linux-musl" --prefix=/usr --disable-shared --enable-static "$@"
}

# What has no configure worth its time.
compile() { # LIBRARY FLAGS SOURCE…
	lib=$1 own=$2
	shift 2
	for c in "$@"; do
		# shellcheck disable=SC2086
		musl-gcc $flags $own -c -o "$(echo "${c%.*}" | tr / _).o" "$c"
	done
	rm -f "$P/lib/$lib"
	"$AR" rcs "$P/lib/$lib" ./*.o
}

build_musl() {
	set -- --prefix="$P" --syslibdir="$P/lib" --disable-shared --enable-wrapper=gcc
	[ -z "$cross" ] || set -- "$@" --target="$arch-linux-musl" CROSS_COMPILE="$cross"
	CC=${cross}gcc CFLAGS='-Os -g0 -fPIE -ffunction-sections -fdata-sections' ./configure "$@"
	make -j"$jobs"
	make install
	# The kernel's headers: those of a cross C library, or this machine's.
	from="/usr/include/$arch-linux-gnu /usr/include"
	[ -z "$cross" ] || from=/usr/$arch-linux-gnu/include
	for d in linux asm-generic asm; do
		for in in $from; do
			if [ -d "$in/$d" ]; then ln -sfn "$in/$d" "$P/include/$d" && break; fi
		done
	done
	[ -e "$P/include/linux/mman.h" ] || { echo "dsagent: the kernel's headers (linux-libc-dev, kernel-headers) are missing" >&2; exit 1; }
}

# One object, to be linked before the C library: musl's own allocator takes one lock for all threads. It must have all of
# the C library's allocating functions, or its free() gets what is not its own: aligned_alloc is asked for as glibc does.
build_mimalloc() {
	# shellcheck disable=SC2086
	musl-gcc $flags -DNDEBUG -DMI_MALLOC_OVERRIDE=1 -DMI_STATIC_LIB -D__USE_ISOC11=1 -ftls-model=initial-exec \
		-fno-builtin-malloc -Iinclude -c -o "$P/lib/mimalloc.o" src/static.c
	for f in malloc calloc realloc free aligned_alloc posix_memalign memalign; do
		"${cross}nm" "$P/lib/mimalloc.o" | grep -q " T $f\$" || { echo "mimalloc has no $f" >&2; return 1; }
	done
}

build_zlib() {
	CC=musl-gcc AR=$AR RANLIB=$RANLIB CFLAGS="$flags" ./configure --static --prefix=/usr
	make -j"$jobs" libz.a
	cp libz.a "$P/lib/"
	cp zlib.h zconf.h "$P/include/"
}

# TLS 1.2 and 1.3, X.509, PKCS#7, digests; neither the machine's openssl.cnf nor anything loaded at run time.
# P-256 by the portable code: the assembly's table of 150 KB is noise to every compressor, and a handshake costs 0.2 ms
# more without it. AES by AES-NI alone: its AVX-512 forms unroll to 730 KB.
# shellcheck disable=SC2016
build_openssl() {
	sed -i 's/^if ($avx512vaes\(>0\)\{0,1\})/if (0)/' crypto/modes/asm/aes-gcm-avx512.pl crypto/aes/asm/aesni-xts-avx512.pl
	sed -i -e 's/ecp_nistz256\.c ecp_nistz256-\(x86_64\.s\|armv8\.S\)//' \
		-e '/ECDEF_\(x86_64\|aarch64\)=/s/ECP_NISTZ256_ASM//' crypto/ec/build.info
	# shellcheck disable=SC2086
	CC=musl-gcc AR=$AR RANLIB=$RANLIB ./Configure "linux-$arch" --prefix=/usr --libdir=lib --openssldir=/etc/dsagent/ssl enable-pie enable-ec_nistp_64_gcc_128 \
		no-shared no-tests no-docs no-apps no-module no-dso no-engine no-legacy no-autoload-config no-uplink \
		no-cms no-ts no-ct no-cmp no-srp no-psk no-srtp no-dtls no-dgram no-sctp no-quic no-comp no-ssl3 no-tls1 no-tls1_1 \
		no-tls-deprecated-ec no-nextprotoneg no-ssl-trace no-ui-console no-rfc3779 no-gost no-idea no-camellia no-seed \
		no-aria no-sm2 no-sm3 no-sm4 no-bf no-cast no-des no-rc2 no-rc4 no-md4 no-mdc2 no-whirlpool no-rmd160 no-blake2 \
		no-siphash no-siv no-ocb no-scrypt no-argon2 no-dsa no-dh no-ec2m no-slh-dsa no-ml-dsa no-ml-kem no-integrity-only-ciphers \
		no-http no-ocsp no-egd no-afalgeng no-async no-thread-pool no-default-thread-pool no-multiblock no-sslkeylog \
		no-atexit no-cmac $flags
	make -j"$jobs" build_libs
	cp libssl.a libcrypto.a "$P/lib/"
	cp -R include/openssl "$P/include/"
}

build_c_ares() {
	configure --disable-tests
	make -j"$jobs" -C src/lib
	cp src/lib/.libs/libcares.a "$P/lib/"
	cp include/ares*.h "$P/include/"
}

# HTTP and HTTPS only. No CA path is built in: the agent finds the bundle at run time. The headers that we give are
# appended as they are: formatted by "%s", a byte at a time, they were an eighth of all that a small object costs.
build_curl() {
	sed -i 's/\(result = \)curlx_dyn_addf(req, "%s\\r\\n", origp);/\1curlx_dyn_add(req, origp), \1result ? result : curlx_dyn_addn(req, STRCONST("\\r\\n"));/' lib/http.c
	grep -q 'curlx_dyn_add(req, origp)' lib/http.c || { echo "curl appends its headers in another way now" >&2; return 1; }
	LIBS=-lpthread configure --with-openssl="$P" --with-zlib="$P" --enable-ares="$P" \
		--without-brotli --without-zstd --without-libpsl --without-libidn2 --without-nghttp2 --without-nghttp3 \
		--without-ngtcp2 --without-libssh2 --without-librtmp --without-libgsasl --without-ca-bundle --without-ca-path \
		--disable-ftp --disable-file --disable-ipfs --disable-ldap --disable-ldaps --disable-rtsp --disable-dict \
		--disable-telnet --disable-tftp --disable-pop3 --disable-imap --disable-smb --disable-smtp --disable-gopher \
		--disable-mqtt --disable-websockets --disable-manual --disable-docs --disable-ntlm --disable-kerberos-auth \
		--disable-negotiate-auth --disable-digest-auth --disable-tls-srp --disable-cookies --disable-doh --disable-mime \
		--disable-form-api --disable-netrc --disable-alt-svc --disable-hsts --disable-dateparse --disable-libcurl-option \
		--disable-openssl-auto-load-config --enable-basic-auth --enable-bearer-auth --enable-aws --enable-unix-sockets \
		--enable-ipv6
	make -j"$jobs" -C lib libcurl.la
	cp lib/.libs/libcurl.a "$P/lib/"
	cp -R include/curl "$P/include/"
}

build_libyaml() {
	v='-DYAML_VERSION_MAJOR=0 -DYAML_VERSION_MINOR=2 -DYAML_VERSION_PATCH=5 -DYAML_VERSION_STRING="0.2.5" -DYAML_DECLARE_STATIC'
	compile libyaml.a "-Iinclude $v" src/*.c
	cp include/yaml.h "$P/include/"
}

# Its hash seed comes from /dev/urandom. What a configure would find is said in flags.
build_jansson() {
	sed -e 's/@json_inline@/inline/' -e 's/@json_have_long_long@/1/' -e 's/@json_have_localeconv@/1/' \
		-e 's/@json_have_atomic_builtins@/1/' -e 's/@json_have_sync_builtins@/1/' src/jansson_config.h.in >src/jansson_config.h
	: >src/jansson_private_config.h
	compile libjansson.a '-Isrc -DHAVE_STDINT_H -DHAVE_INTTYPES_H -DHAVE_SYS_TYPES_H -DHAVE_SYS_TIME_H -DHAVE_SYS_STAT_H
		-DHAVE_FCNTL_H -DHAVE_UNISTD_H -DHAVE_SCHED_H -DHAVE_LOCALE_H -DHAVE_LOCALECONV -DHAVE_GETPID -DHAVE_GETTIMEOFDAY
		-DHAVE_OPEN -DHAVE_CLOSE -DHAVE_READ -DHAVE_STRTOLL -DHAVE_SCHED_YIELD -DHAVE_ATOMIC_BUILTINS -DHAVE_SYNC_BUILTINS
		-DUSE_URANDOM -DINITIAL_HASHTABLE_ORDER=3' src/*.c
	cp src/jansson.h src/jansson_config.h "$P/include/"
}

build_expat() {
	cd expat/lib
	: >expat_config.h
	compile libexpat.a '-I. -DXML_STATIC -DXML_GE=1 -DXML_NS -DXML_DTD -DXML_CONTEXT_BYTES=1024 -DHAVE_GETRANDOM
		-DXML_DEV_URANDOM -DBYTEORDER=1234' xmlparse.c xmltok.c xmlrole.c random_getrandom.c random_dev_urandom.c
	cp expat.h expat_external.h "$P/include/"
}

build_zstd() {
	asm=
	[ "$arch" != x86_64 ] || asm=lib/decompress/huf_decompress_amd64.S
	# shellcheck disable=SC2086
	compile libzstd.a '-Ilib -Ilib/common' lib/common/*.c lib/decompress/*.c $asm
	cp lib/zstd.h lib/zstd_errors.h "$P/include/"
}

build_xz() {
	configure --disable-encoders --enable-decoders=lzma1,lzma2,x86,arm64,delta --enable-threads=no --disable-lzip-decoder \
		--disable-microlzma --disable-nls --disable-xz --disable-xzdec --disable-lzmadec --disable-lzmainfo \
		--disable-lzma-links --disable-scripts --disable-doc
	make -j"$jobs" -C src/liblzma
	cp src/liblzma/.libs/liblzma.a "$P/lib/"
	cp -R src/liblzma/api/lzma.h src/liblzma/api/lzma "$P/include/"
}

# Debian's patches touch Makefile.am: nothing is generated anew.
build_libarchive() {
	configure --disable-bsdtar --disable-bsdcpio --disable-bsdcat --disable-bsdunzip --without-bz2lib --without-libb2 \
		--without-iconv --without-lz4 --without-lzo2 --without-cng --without-mbedtls --without-nettle --without-openssl \
		--without-xml2 --without-expat --disable-acl --disable-xattr
	make -j"$jobs" ACLOCAL=: AUTOMAKE=: AUTOCONF=: AUTOHEADER=: libarchive.la
	cp .libs/libarchive.a "$P/lib/"
	cp libarchive/archive.h libarchive/archive_entry.h "$P/include/"
}

# For the tests only.
build_cmocka() {
	compile libcmocka.a '-Iinclude -DHAVE_UINTPTR_T -DHAVE_CLOCK_GETTIME_REALTIME -DHAVE_INTTYPES_H -DHAVE_SIGNAL_H -DHAVE_STDINT_H -DHAVE_STDIO_H
		-DHAVE_STDLIB_H -DHAVE_STRING_H -DHAVE_STRINGS_H -DHAVE_STRUCT_TIMESPEC -DHAVE_TIME_H -DHAVE_UNISTD_H
		-DHAVE_SETJMP_H -DHAVE_CALLOC -DHAVE_EXIT -DHAVE_FPRINTF -DHAVE_FREE -DHAVE_LONGJMP -DHAVE_SIGLONGJMP
		-DHAVE_MALLOC -DHAVE_MEMCPY -DHAVE_MEMSET -DHAVE_PRINTF -DHAVE_SETJMP -DHAVE_SIGNAL -DHAVE_STRSIGNAL
		-DHAVE_STRCMP -DHAVE_CLOCK_GETTIME' src/cmocka.c
	cp include/cmocka*.h "$P/include/"
}

unpack() { # NAME VERSION SKIPPED-PATCHES
	rm -rf "$P/work" && mkdir -p "$P/work/patches"
	tar -xf "$sources/$1-$2.source" -C "$P/work" --strip-components=1 --no-same-owner
	[ -f "$sources/$1-$2.patches" ] || return 0
	tar -xf "$sources/$1-$2.patches" -C "$P/work/patches" --strip-components=2 --no-same-owner debian/patches
	sed 's/[ #].*//' "$P/work/patches/series" | while read -r p; do
		[ -n "$p" ] || continue
		if [ "$3" != - ] && echo "$p" | grep -Eq "$3"; then continue; fi
		(cd "$P/work" && patch -s -f -p1 <"patches/$p")
	done
}

# Nothing here unwinds a stack; assembly brings its tables whatever the flags say.
lean() {
	for lib in "$P"/lib/*.a "$P"/lib/mimalloc.o; do
		[ -f "$lib" ] || continue
		"${cross}objcopy" -R .eh_frame -R .rela.eh_frame "$lib"
	done
}

# The text of a function here, so that a change of it builds its library again.
text_of() { sed -n "/^$1() {/,/^}/p" "$here/build.sh"; }

toolchain=
awk -v use="${4:-}" -f "$here/rows.awk" "$here/manifest" | while read -r name version sha _ _ _ _ patches skip; do
	fn=build_$(echo "$name" | tr - _)
	key=$({ echo "$name $version $sha $patches $skip $arch $flags $toolchain"; text_of "$fn"; text_of configure; text_of compile; text_of unpack; text_of lean
		"${cross}gcc" --version; } | sha256sum | cut -d' ' -f1)
	toolchain=${toolchain:-$key}
	[ "$(cat "$P/done/$name" 2>/dev/null)" != "$key" ] || continue
	printf '  BUILD %s %s for %s\n' "$name" "$version" "$arch"
	rm -f "$P/done/$name"
	# In the background, since set -e does not hold on the left of ||.
	(
		unpack "$name" "$version" "$skip"
		cd "$P/work"
		"$fn"
		lean
	) >"$P/$name.log" 2>&1 </dev/null &
	wait $! || {
		tail -n 30 "$P/$name.log" >&2
		echo "dsagent: $name $version was not built; all that it said is in $P/$name.log" >&2
		exit 1
	}
	echo "$key" >"$P/done/$name"
done
rm -rf "$P/work"
