# The portal with an app of yours: docker build -f docker/Dockerfile.app -t flood-portal:1.0 ../flood
# The folder at the end is that of the app, which pip can install.
ARG PORTAL=jobsapi:0.1.0
FROM ${PORTAL}
USER 0
COPY . /tmp/app
RUN pip --python /opt/jobsapi/bin/python install --no-cache-dir /tmp/app && rm -r /tmp/app
USER 10001:10001
